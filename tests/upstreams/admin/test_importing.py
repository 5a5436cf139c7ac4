"""Import and discovery of models on an upstream's page."""

import pytest

from tests.support.fake_upstream import json_reply
from tests.upstreams.admin.pages import UPSTREAM, add, import_path, messages_of, rows
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db


def test_models_are_imported_from_what_the_upstream_lists(admin_client, upstream):
    row = add(base_url=upstream.url)
    Model.objects.create(name="known")
    upstream.otherwise(json_reply({"data": [{"id": "known"}, {"id": "b", "context_length": 1000}, {"id": "a", "owned_by": "maker"}]}))
    page = admin_client.get(import_path(row))
    assert page.context["form"].fields["names"].choices == [("a", "a"), ("b", "b  (1,000 tokens)")]
    response = admin_client.post(import_path(row), {"names": ["a"]})
    assert (response.status_code, messages_of(response)) == (302, ["1 model imported."])
    assert sorted(Model.objects.values_list("name", "provider")) == [("a", "maker"), ("known", "")]
    assert Route.objects.get().upstream == row


def test_the_error_of_an_upstream_that_lists_nothing_is_shown(admin_client, upstream):
    row = add(base_url=upstream.url)
    upstream.otherwise(json_reply({}, status=401))
    assert messages_of(admin_client.get(import_path(row))) == ["u: Upstream returned 401: {}"]


@pytest.mark.parametrize(("position", "priorities"), [("behind", [3, 4]), ("beside", [3, 3])])
def test_a_model_that_exists_gets_a_second_route(admin_client, upstream, position, priorities):
    first, second = add("first"), add("second", base_url=upstream.url)
    model = Model.objects.create(name="shared", aliases=["same"])
    Route.objects.create(model=model, upstream=first, priority=3)
    upstream.otherwise(json_reply({"data": [{"id": "maker/shared"}]}))
    page = admin_client.get(import_path(second))
    ((value, text),) = page.context["form"].fields["routes"].choices
    assert (value, text) == (f"{model.pk} maker/shared", "shared would also be served as maker/shared")
    response = admin_client.post(import_path(second), {"routes": [value], "place": position})
    assert messages_of(response) == ["1 route added."]
    routes = list(model.routes.order_by("created_at").values_list("upstream__name", "remote_name", "priority"))
    assert routes == [("first", "", priorities[0]), ("second", "maker/shared", priorities[1])]
    assert admin_client.get(import_path(second)).context["candidates"].routes == []


def test_an_import_without_a_selection_is_refused(admin_client, upstream):
    row = add(base_url=upstream.url)
    upstream.otherwise(json_reply({"data": [{"id": "a"}]}))
    response = admin_client.post(import_path(row), {})
    assert response.context["form"].non_field_errors() == ["Select at least one model."]


def test_discovery_creates_all_new_models_and_marks_vanished_routes(admin_client, upstream):
    row = add(base_url=upstream.url)
    vanished = Route.objects.create(model=Model.objects.create(name="old"), upstream=row)
    upstream.otherwise(json_reply({"data": [{"id": "a"}, {"id": "b"}]}))
    message = "u: 2 new models, 1 route marked as vanished."
    assert messages_of(admin_client.post(import_path(row), {"_discover": "1"})) == [message]
    vanished.refresh_from_db()
    assert vanished.vanished_at is not None
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "discover", "_selected_action": [str(row.pk)]})
    assert messages_of(response) == ["u: nothing new."]


def test_after_adding_an_upstream_the_import_is_offered(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials")})
    row = Upstream.objects.get()
    assert response.headers["Location"] == f"/admin/upstreams/upstream/{row.pk}/change/"
    assert import_path(row) in messages_of(response)[-1]
