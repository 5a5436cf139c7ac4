"""The page of scheduled jobs: when they ran last and with what result, when they run next, and a button that runs one now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from billing.job_runs import UNRECORDED
from billing.models import JobRun
from pxbin_site.celery import app

TITLES = {
    "billing.prune": "Delete old log rows and payloads",
    "billing.build_rollups": "Sum up the log",
    "billing.sync_prices": "Update prices",
    "upstreams.health_check": "Check upstreams",
    "upstreams.discover": "Discover models",
}


class Job(NamedTuple):
    """One scheduled task. ``next_at`` is ``None`` if it has not run yet."""

    task: str
    title: str
    interval: str
    run: JobRun | None
    next_at: datetime | None


def page(request: HttpRequest) -> HttpResponse:
    """The list. A POST with ``task`` runs a job in this process, and shows its result."""
    if not request.user.has_perm("upstreams.view_upstream"):
        raise PermissionDenied
    schedule = {entry["task"]: float(entry["schedule"]) for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    if request.method == "POST":
        if not request.user.has_perm("upstreams.change_upstream"):
            raise PermissionDenied
        _run(request, request.POST.get("task", ""), schedule)
        return redirect(reverse("jobs"))
    runs = {run.task: run for run in JobRun.objects.all()}
    jobs = [_job(task, seconds, runs.get(task)) for task, seconds in schedule.items() if task not in UNRECORDED]
    context = {**admin.site.each_context(request), "title": "Jobs", "jobs": jobs}
    return render(request, "admin/pages/jobs.html", context)


def _job(task: str, seconds: float, run: JobRun | None) -> Job:
    next_at = run.ended_at + timedelta(seconds=seconds) if run is not None else None
    minutes, rest = divmod(int(seconds), 60)
    interval = f"{rest} s" if not minutes else f"{minutes} min" if not rest else f"{minutes} min {rest} s"
    return Job(task, TITLES.get(task, task), interval, run, next_at)


def _run(request: HttpRequest, task: str, schedule: dict[str, float]) -> None:
    if task not in schedule or task in UNRECORDED:
        messages.error(request, "task: there is no such job.")
        return
    app.loader.import_default_modules()  # the tasks of all apps, which only the worker has loaded
    app.tasks[task].apply()
    run = JobRun.objects.filter(task=task).first()
    title = TITLES.get(task, task)
    if run is None or not run.succeeded:
        messages.error(request, f"{title}: {run.result if run else 'no result was recorded'}")
    else:
        messages.success(request, f"{title}: {run.result}")
