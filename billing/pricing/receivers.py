"""Signal receivers: a new model, a saved route and what an upstream lists get their prices, whether admin, API or a command wrote them."""

from __future__ import annotations

import functools
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save

from accounts.models import Revision
from billing.models import Price
from upstreams.models import Model, Route, Upstream
from upstreams.signals import routes_listed


def connect() -> None:
    """Connect the signals; called when the app is ready."""
    post_save.connect(_model_saved, sender=Model, dispatch_uid="billing.prices.model")
    post_save.connect(_route_saved, sender=Route, dispatch_uid="billing.prices.route")
    post_save.connect(_upstream_saved, sender=Upstream, dispatch_uid="billing.prices.upstream")
    routes_listed.connect(_routes_listed, dispatch_uid="billing.prices.listed")


def _model_saved(*, instance: Model, created: bool, raw: bool, **_: Any) -> None:
    if created and not raw:
        _sync_after_commit(instance.pk)


def _route_saved(*, instance: Route, raw: bool, **_: Any) -> None:
    if not raw:
        _sync_after_commit(instance.model_id)


def _upstream_saved(*, update_fields: frozenset[str] | None, **_: Any) -> None:
    """The price book has the factors of upstreams: a change of one is a change of prices."""
    if update_fields is None or "price_factor" in update_fields:
        Revision.objects.bump(Price.revision)


def _routes_listed(*, model_ids: list[Any], **_: Any) -> None:
    for model_id in dict.fromkeys(model_ids):
        _sync_after_commit(model_id)


def _sync_after_commit(model_id: Any) -> None:
    # robust: the model is saved already. An error is logged, and the next synchronisation looks the price up again.
    transaction.on_commit(functools.partial(_sync, model_id), robust=True)


def _sync(model_id: Any) -> None:
    from billing.pricing import sync

    model = Model.objects.filter(pk=model_id).first()
    if model is not None:
        sync.sync_model(model)
