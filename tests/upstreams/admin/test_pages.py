"""What holds for the pages of every table."""

import re

import pytest

from tests.upstreams.admin.pages import SECRET, add, messages_of
from upstreams.models import Model, Route, Upstream, UpstreamCredential

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["upstream", "model", "route", "upstreamcredential"])
def test_rows_are_switched_off_and_on_together(admin_client, path):
    upstream = add()
    Route.objects.create(model=Model.objects.create(name="m"), upstream=upstream)
    table = {"upstream": Upstream, "model": Model, "route": Route, "upstreamcredential": UpstreamCredential}[path]
    row, noun = table.objects.get(), str(table._meta.verbose_name)
    for action, state in (("deactivate", False), ("activate", True)):
        response = admin_client.post(f"/admin/upstreams/{path}/", {"action": action, "_selected_action": [str(row.pk)]})
        assert messages_of(response) == [f"1 {noun} switched {'on' if state else 'off'}."]
        row.refresh_from_db()
        assert (row.is_active, row.history.first().is_active) == (state, state)


@pytest.mark.parametrize(("path", "queries"), [("upstream", 7), ("model", 11), ("route", 7), ("upstreamcredential", 7)])
def test_lists_take_the_same_queries_for_any_number_of_rows(admin_client, django_assert_num_queries, path, queries):
    for names in (("a",), ("b", "c")):
        for name in names:
            upstream = add(name)
            Route.objects.create(model=Model.objects.create(name=name), upstream=upstream)
        with django_assert_num_queries(queries):
            assert admin_client.get(f"/admin/upstreams/{path}/").status_code == 200


def test_every_page_opens_and_shows_no_secret(admin_client):
    upstream = add()
    model = Model.objects.create(name="m")
    route = Route.objects.create(model=model, upstream=upstream)
    credential = upstream.credentials.get()
    for path, row in (("upstream", upstream), ("model", model), ("route", route), ("upstreamcredential", credential)):
        for page in ("", "?q=m", "add/", f"{row.pk}/change/", f"{row.pk}/history/", f"{row.pk}/delete/"):
            response = admin_client.get(f"/admin/upstreams/{path}/{page}")
            assert (path, page, response.status_code) == (path, page, 200)
            text = response.content.decode()
            assert SECRET not in text
            assert credential.secret_encrypted not in text


@pytest.mark.parametrize(
    ("page", "breadcrumbs"),
    [
        ("", ["Upstreams"]),
        ("add/", ["Upstreams", "Add upstream"]),
        ("{}/change/", ["Upstreams", "my upstream"]),
        ("{}/history/", ["Upstreams", "my upstream"]),
    ],
)
def test_pages_show_their_breadcrumbs(admin_client, page, breadcrumbs):
    row = add("my upstream")
    head = re.search(r"<h1.*?</h1>", admin_client.get(f"/admin/upstreams/upstream/{page.format(row.pk)}").content.decode(), re.DOTALL)
    text = re.sub(r"<[^>]*>", "\n", head[0].replace("chevron_right", ""))
    assert [line.strip() for line in text.splitlines() if line.strip()] == breadcrumbs


def test_a_history_shows_changes_and_their_authors(admin_client):
    row = add("old")
    row.name = "new"
    row.save()
    page = admin_client.get(f"/admin/upstreams/upstream/{row.pk}/history/").content.decode()
    assert [text for text in ("old → new", "a script", "Change reason", "None") if text in page] == ["old → new", "a script"]


def test_a_missing_page_of_the_admin_is_styled(admin_client, client):
    response = admin_client.get("/admin/nothing/here/")
    assert (response.status_code, "Page not found" in response.content.decode()) == (404, True)
    assert "Page not found" not in client.get("/nothing").content.decode()
