"""The Celery app: it finds the tasks of every app, and beats by the table in the settings."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

app = Celery("pxbin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
