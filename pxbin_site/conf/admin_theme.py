"""How the admin looks: its name, its sidebar in the order in which a newcomer needs it, our few styles and scripts."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, page: str, *, unless_empty: bool = False) -> dict[str, Any]:
    """A line of the sidebar; ``page`` is the name of an address below the admin. Who may not see the page does not see the line.

    ``unless_empty``: nor is it shown while its table has no row.
    """
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{page}")}
    if page.endswith("_changelist"):
        app, _, model = page.removesuffix("_changelist").partition("_")
        item["permission"] = lambda request: request.user.has_perm(f"{app}.view_{model}") and not (unless_empty and _is_empty(app, model))
    return item


def _is_empty(app: str, model: str) -> bool:
    return not apps.get_model(app, model)._default_manager.exists()  # noqa: SLF001  (Django's documented API)


NAVIGATION = [
    {
        "title": "",
        "items": [
            _item("Start", "home", "index"),
            _item("API keys", "key", "accounts_apikey_changelist"),
            _item("Upstreams", "cloud", "upstreams_upstream_changelist"),
            _item("Models", "neurology", "upstreams_model_changelist"),
            _item("Requests", "receipt_long", "billing_requestlog_changelist"),
            _item("Prices", "payments", "billing_price_changelist"),
        ],
    },
    {
        "title": "In detail",
        "separator": True,
        "items": [
            _item("Credentials", "vpn_key", "upstreams_upstreamcredential_changelist"),
            _item("Routes", "alt_route", "upstreams_route_changelist"),
            _item("Kept bodies", "description", "billing_requestpayload_changelist", unless_empty=True),
        ],
    },
    {
        "title": "Access",
        "separator": True,
        "items": [
            _item("Management keys", "terminal", "accounts_managementkey_changelist"),
            _item("Users", "person", "auth_user_changelist"),
            _item("Groups", "group", "auth_group_changelist"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "pxbin",
    "SITE_HEADER": "pxbin",
    "SITE_SYMBOL": "hub",
    "SITE_URL": "/admin/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/pxbin/favicon.svg"}],
    "SHOW_VIEW_ON_SITE": False,
    # On dark pages links have this colour: the theme's own is too dark there to be read easily (4.5:1 is asked for).
    "COLORS": {"primary": {"500": "oklch(68% .22 304)"}},
    "DASHBOARD_CALLBACK": "pxbin_site.dashboard.dashboard",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": NAVIGATION},
    "STYLES": [lambda request: static("pxbin/admin.css")],  # noqa: ARG005  (unfold hands every callable the request)
    "SCRIPTS": [lambda request: static("pxbin/admin.js")],  # noqa: ARG005
}
