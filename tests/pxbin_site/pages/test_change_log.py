"""The change log: who changed what, from where, before and after, without secrets."""

import csv
import io

import pytest
from django.contrib.auth.models import Permission

from accounts.models import ApiKey
from tests.support.management import ManagementClient
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

PAGE = "/admin/changes/"


def entries(client, **query):
    return [(change.action, change.kind, change.name, change.fields) for change in client.get(PAGE, query).context["changes"]]


def test_changes_have_their_values_and_deletions_stay(admin_client):
    row = Upstream.objects.create(name="acme", base_url="http://127.0.0.1:9")
    row.priority = 5
    row.save()
    row.delete()
    assert entries(admin_client) == [
        ("deleted", "upstream", "acme", []),
        ("changed", "upstream", "acme", [("priority", "0", "5")]),
        ("created", "upstream", "acme", []),
    ]


def test_a_script_is_named_by_its_key_and_a_replaced_secret_by_a_note_without_its_value(admin_client):
    script = ManagementClient()
    upstream = script.create("/upstreams", name="acme", base_url="http://127.0.0.1:9", api_key="sk-first")["id"]
    row = UpstreamCredential.objects.get(upstream_id=upstream)
    row.name = "renamed"
    store.set_secret(row, "sk-second")
    row.save()
    shown = admin_client.get(PAGE, {"kind": "credential"})
    newest, oldest = shown.context["changes"]
    assert "secret replaced" in newest.origin
    assert oldest.origin == f"key {script.key[:8]} tests; secret replaced; from 127.0.0.1"
    assert ("sk-first" in shown.content.decode(), "sk-second" in shown.content.decode()) == (False, False)


def test_the_history_of_a_model_has_its_routes(admin_client):
    upstream = Upstream.objects.create(name="acme", base_url="http://127.0.0.1:9")
    model, other = Model.objects.create(name="m"), Model.objects.create(name="other")
    Route.objects.create(model=model, upstream=upstream, remote_name="large")
    Route.objects.create(model=other, upstream=upstream, remote_name="small")
    assert entries(admin_client, object=str(model.pk)) == [("created", "route", "large", []), ("created", "model", "m", [])]


def test_who_and_from_where_are_named(admin_client, admin_user):
    form = {"name": "k", "access": "read", "is_active": "on", "metadata": "{}"}
    admin_client.post("/admin/accounts/managementkey/add/", form, REMOTE_ADDR="192.0.2.7")
    (change,) = admin_client.get(PAGE, {"kind": "managementkey"}).context["changes"]
    assert (change.name, change.user, change.origin) == ("k", admin_user.username, "from 192.0.2.7")
    assert entries(admin_client, who="192.0.2.7") == [("created", "management key", "k", [])]
    assert entries(admin_client, who="192.0.2.8") == []


def test_a_user_sees_only_the_tables_that_it_may_view(client, django_user_model):
    user = django_user_model.objects.create_user("u", is_staff=True)
    client.force_login(user)
    assert client.get(PAGE).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_model"))
    ApiKey.objects.create(name="k", key_hash="0" * 64)
    Model.objects.create(name="m")
    assert entries(client) == [("created", "model", "m", [])]


def test_the_export_has_one_line_for_each_changed_field_and_no_formulas(admin_client):
    row = Model.objects.create(name="=1+1")
    row.display_name, row.context_window = "M", 10
    row.save()
    response = admin_client.get(PAGE, {"format": "csv"})
    lines = [line[2:4] + line[6:] for line in csv.reader(io.StringIO(response.content.decode()))]
    assert lines[0] == ["object", "action", "field", "before", "after"]
    assert sorted(lines[1:]) == [
        ["'=1+1", "changed", "context window", "none", "10"],
        ["'=1+1", "changed", "display name", "none", "M"],
        ["'=1+1", "created", "", "", ""],
    ]


def test_the_number_of_queries_does_not_depend_on_the_number_of_changes(admin_client, django_assert_max_num_queries):
    for number in range(60):
        Model.objects.create(name=f"m{number}").save()
    with django_assert_max_num_queries(30):
        page = admin_client.get(PAGE)
    assert len(page.context["changes"]) == 50
    assert len(admin_client.get(f"{PAGE}?{page.context['older']}").context["changes"]) == 50
