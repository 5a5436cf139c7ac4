"""The page of scheduled jobs, and the record of their runs."""

import pytest
from django.conf import settings

from billing import job_runs
from billing.models import JobRun

pytestmark = pytest.mark.django_db

PAGE = "/admin/jobs/"


def jobs(client):
    return {job.task: job for job in client.get(PAGE).context["jobs"]}


def test_every_scheduled_job_is_listed_but_not_those_of_every_moment(admin_client):
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert (set(jobs(admin_client)), "billing.prune" in scheduled) == (scheduled - job_runs.UNRECORDED, True)
    assert [job.run for job in jobs(admin_client).values()] == [None] * len(jobs(admin_client))


def test_a_job_runs_now_and_its_result_is_shown(admin_client):
    page = admin_client.post(PAGE, {"task": "billing.prune"}, follow=True)
    run = JobRun.objects.get()
    assert (run.task, run.succeeded, "log: 0" in run.result or "0" in run.result) == ("billing.prune", True, True)
    job = jobs(admin_client)["billing.prune"]
    assert (job.run, (job.next_at - run.ended_at).total_seconds(), job.interval) == (run, 120.0, "2 min")
    assert run.result in page.content.decode()


def test_a_job_that_fails_says_why(admin_client, monkeypatch):
    def fail(**_ages):
        raise OSError("disk full")

    monkeypatch.setattr("billing.tasks.retention.delete_old_rows", fail)
    admin_client.post(PAGE, {"task": "billing.prune"})
    assert [(run.succeeded, run.result) for run in JobRun.objects.all()] == [(False, "OSError: disk full")]


def test_an_unknown_job_is_refused(admin_client):
    page = admin_client.post(PAGE, {"task": "billing.write_request_logs"}, follow=True)
    assert "task: there is no such job." in page.content.decode()
    assert JobRun.objects.count() == 0


def test_who_may_only_view_cannot_run(client, django_user_model):
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_upstream"))
    client.force_login(user)
    assert (client.get(PAGE).status_code, client.post(PAGE, {"task": "billing.prune"}).status_code) == (200, 403)
