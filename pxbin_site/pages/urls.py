"""The paths of the pages, below `/admin/`. Every page needs a login; each checks its own permissions."""

from django.contrib import admin
from django.urls import path

from pxbin_site.pages import connect

urlpatterns = [
    path("connect/", admin.site.admin_view(connect.page), name="connect"),
    path("connect/test/", admin.site.admin_view(connect.wait_for_call), name="connect_test"),
]
