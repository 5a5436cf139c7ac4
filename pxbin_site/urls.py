"""URLs that Django's handler answers, and those of the proxy."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found
from django.views.generic.base import RedirectView

from billing.admin.usage import usage_page
from pxbin_site import import_page, metrics, self_service
from pxbin_site.api import api


@csrf_exempt
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Redirect browsers to the admin; answer the `HEAD /` that Claude Code sends to check the connection."""
    if request.method == "HEAD":
        return HttpResponse()
    return HttpResponseRedirect("/admin/")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The 404 page: in the admin's layout for its users, Django's default for others."""
    if request.path.startswith("/admin/") and admin.site.has_permission(request):
        page = {**admin.site.each_context(request), "title": "Not found", "content_title": "Not found"}
        return render(request, "admin/404.html", page, status=404)
    return page_not_found(request, exception)


handler404 = not_found

PAGES = {
    "login": "admin:login",
    "setup": "admin:index",
    "costs": "admin:index",
    "logs": "admin:billing_requestlog_changelist",
    "keys": "admin:accounts_apikey_changelist",
    "models": "admin:upstreams_model_changelist",
    "upstreams": "admin:upstreams_upstream_changelist",
}
"""The paths of the pages of pxbin's dashboard and of model-proxy's `/setup/`, each with the admin's page that does the same."""

urlpatterns = [
    path("", home),
    path("favicon.ico", RedirectView.as_view(url=static("pxbin/favicon.svg"), permanent=True)),
    path("me", self_service.page),
    path("me/", self_service.page),
    path("admin", RedirectView.as_view(url="/admin/", query_string=True)),
    path("admin/", include("pxbin_site.pages.urls")),
    path("admin/config/", admin.site.admin_view(import_page.page), name="config-file"),
    path("admin/config/export/", admin.site.admin_view(import_page.export), name="config-export"),
    path("admin/usage/", admin.site.admin_view(usage_page), name="usage"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("v1/admin/", include("pxbin_site.model_proxy_api.urls")),
    path("setup/<path:page>", RedirectView.as_view(url="/admin/")),
    *(
        path(f"{name}{slash}", RedirectView.as_view(pattern_name=page, http_method_names=["get", "head"]))
        for name, page in PAGES.items()
        for slash in ("", "/")
    ),
    path("", include("proxy.urls")),
]
if settings.PXBIN.metrics_enabled:
    urlpatterns += [path(f"metrics{slash}", csrf_exempt(require_safe(metrics.page))) for slash in ("", "/")]
