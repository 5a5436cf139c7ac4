"""The Celery app, with the tasks of all apps and the schedule of the settings."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

app = Celery("pxbin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
if not settings.PXBIN.database_url.startswith("postgres"):
    # Celery closes the database connection after each task. A file does not need that, and reopening it costs a task that
    # runs twice a second more CPU than its work.
    app.conf["CELERY_DB_REUSE_MAX"] = 1000
