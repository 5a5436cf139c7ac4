"""The Celery app: it finds the tasks of every app, and beats by the table in the settings."""

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

app = Celery("pxbin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
if not settings.PXBIN.database_url.startswith("postgres"):
    # Celery closes the database behind each task. A file cannot go stale as a connection does, and opening it anew costs
    # a task that runs twice a second more than its work does.
    app.conf["CELERY_DB_REUSE_MAX"] = 1000
