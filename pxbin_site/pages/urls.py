"""The paths of the pages, below `/admin/`. Every page needs a login; each checks its own permissions."""

from django.contrib import admin
from django.urls import path

from pxbin_site.pages import change_log, connect, jobs, sessions, simulator

urlpatterns = [
    path("connect/", admin.site.admin_view(connect.page), name="connect"),
    path("changes/", admin.site.admin_view(change_log.page), name="changes"),
    path("jobs/", admin.site.admin_view(jobs.page), name="jobs"),
    path("sessions/", admin.site.admin_view(sessions.page), name="sessions"),
    path("simulator/", admin.site.admin_view(simulator.page), name="simulator"),
    path("connect/test/", admin.site.admin_view(connect.wait_for_call), name="connect_test"),
]
