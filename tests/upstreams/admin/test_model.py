"""The pages of models."""

import pytest

from tests.upstreams.admin.pages import add, errors, messages_of, rows
from upstreams.models import Model, Route

pytestmark = pytest.mark.django_db


MODEL = {
    "name": "claude-*",
    "aliases": "fast\nsmall",
    "fallbacks": "",
    "is_active": "on",
    "strategy": "priority",
    "system_replacements": "",
    "body_defaults": "",
    "body_extensions": "",
    "tool_enforcement": "",
    "quirks": "",
    "repair_tool_history": "on",
}


def test_a_model_is_created_with_its_route(admin_client):
    upstream = add()
    route = {"upstream": str(upstream.pk), "remote_name": "anthropic/claude-*", "priority": "0", "weight": "1", "is_active": "on"}
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, **rows("routes", route)})
    assert response.status_code == 302, errors(response)
    model = Model.objects.get()
    assert (model.name, model.aliases, model.fallbacks, model.display_name, model.quirks) == ("claude-*", ["fast", "small"], [], None, {})
    assert list(Route.objects.values_list("model", "upstream", "remote_name")) == [(model.pk, upstream.pk, "anthropic/claude-*")]


def test_names_that_are_taken_are_refused(admin_client):
    Model.objects.create(name="gpt-5", aliases=["fast"])
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, **rows("routes")})
    assert errors(response) == {"aliases": ["fast is already a name of the model gpt-5."]}


def test_prompt_edits_for_a_native_upstream_are_warned_of(admin_client):
    native, translated = add("native", dialect="anthropic"), add("other")
    for number, (upstream, fields, names) in enumerate(
        [
            (native, {"system_append": "Be terse.", "inject_progress": "on"}, "system_append, inject_progress"),
            (native, {"tool_enforcement": '{"enabled": true}'}, "tool_enforcement"),
            (native, {"temperature": "0.5"}, ""),
            (translated, {"system_append": "Be terse."}, ""),
        ]
    ):
        route = {"upstream": str(upstream.pk), "priority": "0", "weight": "1", "is_active": "on"}
        data = {**MODEL, "name": f"m{number}", "aliases": "", **fields, **rows("routes", route)}
        response = admin_client.post("/admin/upstreams/model/add/", data)
        assert response.status_code == 302, errors(response)
        warnings = [text for text in messages_of(response) if "thinking blocks" in text]
        sentence = f"m{number} has a route to native, where prompts are cached and thinking blocks are bound to the conversation"
        expected = f"{sentence}: a change of {names}"
        assert [text.split(" during a session")[0] for text in warnings] == ([expected] if names else [])
        assert ["later thinking blocks" in text for text in warnings] == (["inject_progress" in names] if names else [])


def test_a_fallback_that_does_not_exist_is_warned_of(admin_client):
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, "fallbacks": "gpt-4x", **rows("routes")})
    assert "claude-*: there is no model gpt-4x yet." in messages_of(response)


def test_invalid_policies_are_refused(admin_client):
    data = {**MODEL, "tool_enforcement": '{"max_retries": 0}', "body_defaults": '{"stream": true}', **rows("routes")}
    response = admin_client.post("/admin/upstreams/model/add/", data)
    assert errors(response) == {
        "body_defaults": ["stream: the gateway sets this itself."],
        "tool_enforcement": ["max_retries: must be an integer of at least 1."],
    }


def test_a_model_without_a_route_is_warned_of(admin_client):
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, "name": "lost", "aliases": "", **rows("routes")})
    assert "lost has no route yet: until you add one, requests for it are refused." in messages_of(response)
    assert "no route" in admin_client.get("/admin/upstreams/model/").content.decode()


def test_models_are_filtered_by_provider_prefix_and_upstream(admin_client):
    upstream = add()
    Route.objects.create(model=Model.objects.create(name="a", provider="maker"), upstream=upstream)
    Model.objects.create(name="b", path_prefix="/team")
    path = "/admin/upstreams/model/"
    for query, names in (({"provider": "maker"}, ["a"]), ({"path_prefix": "/team"}, ["b"]), ({"provider": "x"}, ["a", "b"])):
        assert [row.name for row in admin_client.get(path, query).context["cl"].result_list] == names
    results = admin_client.get(path, {"routes__upstream__id__exact": str(upstream.pk)}).context["cl"].result_list
    assert [row.name for row in results] == ["a"]
