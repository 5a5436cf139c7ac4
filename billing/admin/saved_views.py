"""Saved views of the request log: named query strings, a user's own and those that others share."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict

from billing.models import SavedView

MAX_NAME, MAX_QUERY = 80, 2000


def visible_to(user: Any) -> QuerySet[SavedView]:
    """The user's own views and the shared ones, with their owners."""
    return SavedView.objects.filter(Q(owner=user) | Q(is_shared=True)).select_related("owner")


def change(request: HttpRequest) -> str:
    """Save the view that a POST names, or delete one of the user's own; returns the query string of the list to show.

    Fields: ``name``, ``query``, ``is_shared`` (any text), or ``delete`` with an id.
    """
    query = QueryDict(request.POST.get("query", "")[:MAX_QUERY], mutable=True)
    for place in ("p", "before"):
        query.pop(place, None)
    name = request.POST.get("name", "").strip()
    if request.method == "POST" and request.POST.get("delete", "").isdigit():
        rows = SavedView.objects.filter(pk=request.POST["delete"])
        rows = rows if request.user.is_superuser else rows.filter(owner_id=request.user.pk)
        deleted, _ = rows.delete()
        messages.success(request, "The view is deleted.") if deleted else messages.error(request, "Only its owner can delete a view.")
    elif request.method == "POST" and not (name and len(name) <= MAX_NAME):
        messages.error(request, f"name: enter 1 to {MAX_NAME} characters.")
    elif request.method == "POST":
        values = {"query": query.urlencode(), "is_shared": bool(request.POST.get("is_shared"))}
        SavedView.objects.update_or_create(owner_id=request.user.pk, name=name, defaults=values)
        messages.success(request, f"The view “{name}” is saved.")
    return query.urlencode()
