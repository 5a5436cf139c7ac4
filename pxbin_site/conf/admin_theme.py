"""Look of the admin: its name, its sidebar in the order in which a new user needs the pages, styles and scripts."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import lazy
from django.utils.text import capfirst


def _page(model: str, icon: str, *, unless_empty: bool = False) -> dict[str, Any]:
    """The entry of a model's list, under the model's own name, for users who may view it. ``model``: `app.model`, in lower case.

    ``unless_empty``: it is hidden while the table has no row.
    """
    app, _, name = model.partition(".")

    def is_permitted(request: HttpRequest) -> bool:
        return request.user.has_perm(f"{app}.view_{name}") and not (unless_empty and _is_empty(model))

    return {"title": _title(model), "icon": icon, "link": reverse_lazy(f"admin:{app}_{name}_changelist"), "permission": is_permitted}


def _own_page(title: str, icon: str, name: str, permission: str) -> dict[str, Any]:
    """The entry of a page that belongs to no table, by the name of its URL."""

    def is_permitted(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return {"title": title, "icon": icon, "link": reverse_lazy(name), "permission": is_permitted}


def _title_now(model: str) -> str:
    return str(capfirst(apps.get_model(model)._meta.verbose_name_plural))  # noqa: SLF001  (Django's documented API)


_title = lazy(_title_now, str)
"""The title is looked up when a page shows it: models are loaded after the settings."""


def _is_empty(model: str) -> bool:
    return not apps.get_model(model)._default_manager.exists()  # noqa: SLF001  (Django's documented API)


NAVIGATION = [
    {
        "title": "",
        "items": [
            {"title": "Start", "icon": "home", "link": reverse_lazy("admin:index")},
            _own_page("Usage", "bar_chart", "usage", "billing.view_requestlog"),
            _own_page("Connect a client", "cable", "connect", "accounts.view_apikey"),
            _page("accounts.apikey", "key"),
            _page("upstreams.upstream", "cloud"),
            _page("upstreams.model", "neurology"),
            _page("billing.requestlog", "receipt_long"),
            _page("billing.price", "payments"),
            _page("accounts.budget", "savings"),
        ],
    },
    {
        "title": "Details",
        "separator": True,
        "items": [
            _page("upstreams.upstreamcredential", "vpn_key"),
            _page("upstreams.route", "alt_route"),
            _page("billing.requestpayload", "description", unless_empty=True),
            _page("billing.redactionrule", "ink_eraser"),
            _page("billing.alertchannel", "notifications"),
            _page("billing.alertdelivery", "mark_email_read"),
        ],
    },
    {
        "title": "Access",
        "separator": True,
        "items": [
            _page("accounts.owner", "groups"),
            _page("accounts.pool", "workspaces"),
            _page("accounts.keydefaults", "tune"),
            _page("accounts.managementkey", "terminal"),
            _page("auth.user", "person"),
            _page("auth.group", "group"),
            {
                "title": "Import and export",
                "icon": "swap_vert",
                "link": reverse_lazy("config-file"),
                "permission": lambda request: request.user.is_superuser,
            },
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "pxbin",
    "SITE_HEADER": "pxbin",
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/pxbin/favicon.svg"}],
    "SHOW_VIEW_ON_SITE": False,
    # The colour of links on dark pages: the theme's own has less than the contrast of 4.5:1 that WCAG requires.
    "COLORS": {"primary": {"500": "oklch(68% .22 304)"}},
    "DASHBOARD_CALLBACK": "pxbin_site.dashboard.dashboard",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
    "STYLES": [(lambda request, name=name: static(f"pxbin/{name}")) for name in ("admin.css", "usage.css")],  # noqa: ARG005  (by unfold)
    "SCRIPTS": [(lambda request, name=name: static(f"pxbin/{name}")) for name in ("admin.js", "accessibility.js", "times.js")],  # noqa: ARG005
}
