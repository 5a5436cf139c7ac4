import html
import re

import pytest
from django.contrib.messages import get_messages

from tests.support.fake_upstream import json_reply
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.presets import PRESETS
from upstreams.routing import live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

SECRET = "sk-upstream-secret"
UPSTREAM = {
    "name": "provider",
    "dialect": "openai_chat",
    "base_url": "https://api.example.test/v1",
    "is_active": "on",
    "priority": "0",
    "extra_headers": "",
    "connect_timeout_seconds": "10",
    "first_byte_timeout_seconds": "300",
    "idle_timeout_seconds": "120",
    "max_retries": "0",
    "retry_base_delay_ms": "1000",
    "cooldown_seconds": "60",
    "quirks": "{}",
    "takes_images": "on",
    "takes_tools": "on",
    "takes_audio": "on",
}


def rows(prefix, *forms, initial=0):
    fields = {f"{prefix}-TOTAL_FORMS": str(len(forms)), f"{prefix}-INITIAL_FORMS": str(initial)}
    for index, form in enumerate(forms):
        fields |= {f"{prefix}-{index}-{name}": value for name, value in form.items()}
    return fields


def errors(response):
    problems = dict(response.context["adminform"].form.errors)
    for formset in response.context["inline_admin_formsets"]:
        for form in formset.formset.forms:
            problems |= form.errors
    return problems


def messages_of(response):
    """The messages of this response; those of earlier ones are stored for the next page."""
    return [str(message) for message in get_messages(response.wsgi_request)._queued_messages]


def add(name="u", base_url="http://127.0.0.1:1", **fields):
    upstream = Upstream.objects.create(name=name, base_url=base_url, **fields)
    credential = UpstreamCredential(upstream=upstream, name="main")
    store.set_secret(credential, SECRET)
    credential.save()
    return upstream


def test_an_upstream_is_created_with_its_credential(admin_client):
    key = {"name": "main", "secret": f" {SECRET} ", "priority": "0", "is_active": "on"}
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", key)})
    assert response.status_code == 302, errors(response)
    credential = UpstreamCredential.objects.get()
    assert (credential.upstream.name, credential.upstream.extra_headers) == ("provider", {})
    assert store.decrypt(credential.secret_encrypted) == SECRET


def test_a_secret_can_be_replaced_or_kept_and_is_never_shown(admin_client):
    upstream = add()
    credential = upstream.credentials.get()
    path = f"/admin/upstreams/upstream/{upstream.pk}/change/"
    page = admin_client.get(path).content.decode()
    assert (SECRET in page, credential.secret_encrypted in page, "A key is stored" in page) == (False, False, True)
    form = {"id": str(credential.pk), "upstream": str(upstream.pk), "name": "renamed", "secret": "", "priority": "0", "is_active": "on"}
    for typed, expected in (("", SECRET), ("sk-new", "sk-new")):
        data = {**UPSTREAM, **rows("credentials", {**form, "secret": typed}, initial=1)}
        response = admin_client.post(path, data)
        assert response.status_code == 302, errors(response)
        credential.refresh_from_db()
        assert (credential.name, store.decrypt(credential.secret_encrypted)) == ("renamed", expected)


def test_a_new_credential_needs_a_secret(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", {"name": "main", "priority": "0"})})
    assert errors(response) == {"secret": ["Enter the key."]}
    assert not Upstream.objects.exists()


def test_invalid_quirks_are_refused(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, "quirks": '{"x": 1}', **rows("credentials")})
    assert errors(response) == {"quirks": ["x: unknown field."]}


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
    native, other = add("native", dialect="anthropic"), add("other")
    for number, (upstream, fields, names) in enumerate(
        [
            (native, {"system_append": "Be terse.", "inject_progress": "on"}, "system_append, inject_progress"),
            (native, {"tool_enforcement": '{"enabled": true}'}, "tool_enforcement"),
            (native, {"temperature": "0.5"}, ""),
            (other, {"system_append": "Be terse."}, ""),
        ]
    ):
        route = {"upstream": str(upstream.pk), "priority": "0", "weight": "1", "is_active": "on"}
        data = {**MODEL, "name": f"m{number}", "aliases": "", **fields, **rows("routes", route)}
        response = admin_client.post("/admin/upstreams/model/add/", data)
        assert response.status_code == 302, errors(response)
        warnings = [text for text in messages_of(response) if "thinking blocks" in text]
        where = f"m{number} has a route to native, where prompts are cached and thinking blocks are bound to the conversation"
        expected = f"{where}: a change of {names}"
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


def import_path(row):
    return f"/admin/upstreams/upstream/{row.pk}/import-models/"


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


@pytest.mark.parametrize(("place", "priorities"), [("behind", [3, 4]), ("beside", [3, 3])])
def test_a_model_that_exists_gets_a_second_route(admin_client, upstream, place, priorities):
    first, second = add("first"), add("second", base_url=upstream.url)
    model = Model.objects.create(name="shared", aliases=["same"])
    Route.objects.create(model=model, upstream=first, priority=3)
    upstream.otherwise(json_reply({"data": [{"id": "maker/shared"}]}))
    page = admin_client.get(import_path(second))
    ((value, text),) = page.context["form"].fields["routes"].choices
    assert (value, text) == (f"{model.pk} maker/shared", "shared would also be served as maker/shared")
    response = admin_client.post(import_path(second), {"routes": [value], "place": place})
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
    gone = Route.objects.create(model=Model.objects.create(name="old"), upstream=row)
    upstream.otherwise(json_reply({"data": [{"id": "a"}, {"id": "b"}]}))
    message = "u: 2 new models, 1 route marked as vanished."
    assert messages_of(admin_client.post(import_path(row), {"_discover": "1"})) == [message]
    gone.refresh_from_db()
    assert gone.vanished_at is not None
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "discover", "_selected_action": [str(row.pk)]})
    assert messages_of(response) == ["u: nothing new."]


def test_the_connection_can_be_tested(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    upstream.otherwise(json_reply({"data": [{"id": "m"}]}))
    (message,) = messages_of(admin_client.post(path, {"_command": "check"}))
    assert message.startswith("u is healthy: 1 model listed, m answered in ")
    upstream.otherwise(json_reply({}, status=500))
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "check_health", "_selected_action": [str(row.pk)]})
    assert messages_of(response) == ["u: Completion returned 500"]
    for page in ("upstreams/upstream/", f"upstreams/upstream/{row.pk}/change/", ""):
        assert "Completion returned 500" in admin_client.get(f"/admin/{page}").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_health_check_shows_the_result_of_each_credential(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    second = UpstreamCredential(upstream=row, name="second")
    store.set_secret(second, "sk-2")
    second.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    refusal = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}
    upstream.otherwise(
        lambda request: json_reply(refusal, status=401) if request.header("authorization") == "Bearer sk-2" else json_reply({})
    )
    assert messages_of(admin_client.post(path, {"_command": "check"})) == ["u: main is healthy; second was refused (401)."]
    reasons = list(row.credentials.order_by("name").values_list("disabled_reason", flat=True))
    assert reasons == ["", "the upstream answered 401: upstream authentication failed"]


def test_a_disabled_credential_is_explained_and_enabled_on_its_upstreams_page(admin_client):
    row = add()
    key = row.credentials.get()
    key.disabled_reason = "401: this key was revoked"
    key.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    assert "401: this key was revoked" in admin_client.get(path).content.decode()
    assert "401: this key was revoked" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert messages_of(admin_client.post(path, {"_command": f"enable {key.pk}"})) == ["The credential is enabled."]
    key.refresh_from_db()
    assert key.disabled_reason == ""


def test_a_credential_of_another_upstream_is_not_enabled(admin_client):
    row, other = add(), add("other")
    key = other.credentials.get()
    key.disabled_reason = "refused"
    key.save()
    assert messages_of(admin_client.post(f"/admin/upstreams/upstream/{row.pk}/change/", {"_command": f"enable {key.pk}"})) == []
    key.refresh_from_db()
    assert key.disabled_reason == "refused"


@pytest.mark.parametrize(
    ("preset", "field", "message"),
    [
        ("azure-openai", "base_url", "Replace {resource} in https://{resource}.openai.azure.com/openai/v1 with the name of your resource."),
        ("bedrock", "region", "Enter a region, for example us-east-1."),
    ],
)
def test_values_that_a_preset_does_not_have_are_required(admin_client, preset, field, message):
    data = {**UPSTREAM, "preset": preset, "base_url": "", **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", data)
    assert errors(response) == {field: [message]}
    assert PRESETS[preset].base_url in html.unescape(response.content.decode())


def test_after_adding_an_upstream_the_import_is_offered(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials")})
    row = Upstream.objects.get()
    assert response.headers["Location"] == f"/admin/upstreams/upstream/{row.pk}/change/"
    assert import_path(row) in messages_of(response)[-1]


def test_capabilities_of_an_upstream_are_switches(admin_client):
    data = {name: value for name, value in UPSTREAM.items() if name != "takes_audio"}
    response = admin_client.post("/admin/upstreams/upstream/add/", {**data, **rows("credentials")})
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert row.capabilities == {"audio": False}
    page = admin_client.get(f"/admin/upstreams/upstream/{row.pk}/change/").context["adminform"].form.initial
    assert {name: page[name] for name in ("takes_images", "takes_tools", "takes_audio")} == {
        "takes_images": True, "takes_tools": True, "takes_audio": False,
    }  # fmt: skip


def test_capabilities_of_a_route_override_its_upstreams(admin_client):
    model, upstream = Model.objects.create(name="m"), add()
    data = {"model": str(model.pk), "upstream": str(upstream.pk), "priority": "0", "weight": "1", "is_active": "on"}
    choices = {"takes_images": "no", "takes_tools": "yes", "takes_audio": ""}
    response = admin_client.post("/admin/upstreams/route/add/", {**data, **choices})
    assert response.status_code == 302, errors(response)
    route = Route.objects.get()
    assert route.capabilities == {"images": False, "tools": True}
    shown = admin_client.get(f"/admin/upstreams/route/{route.pk}/change/").context["adminform"].form.initial
    assert {name: shown[name] for name in choices} == choices


def test_extra_headers_are_entered_as_lines(admin_client):
    data = {**UPSTREAM, "extra_headers": "X-Team: a: b\n\nX-Other:c", **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", data)
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert row.extra_headers == {"X-Team": "a: b", "X-Other": "c"}
    assert "X-Team: a: b\nX-Other: c" in admin_client.get(f"/admin/upstreams/upstream/{row.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("extra_headers", "no colon", "“no colon” is not a header: write Name: value."),
        ("extra_headers", "bad name: x", "'bad name' is not a header with a value of one line of text."),
        (
            "quirks",
            '{"x": 1',
            'This is not JSON (line 1, column 8). Put names and texts in double quotes, for example {"name": "value"}.',
        ),
        ("base_url", "", "An upstream needs a base URL."),
        ("base_url", "https://{resource}.x/v1", "Replace {resource} in https://{resource}.x/v1 with the name of your resource."),
    ],
)
def test_errors_are_shown_at_their_field(admin_client, field, typed, message):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, field: typed, **rows("credentials")})
    assert errors(response) == {field: [message]}


def test_a_model_without_a_route_is_warned_of(admin_client):
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, "name": "lost", "aliases": "", **rows("routes")})
    assert "lost has no route yet: until you add one, requests for it are refused." in messages_of(response)
    assert "no route" in admin_client.get("/admin/upstreams/model/").content.decode()


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


def test_a_preset_fills_in_empty_fields(admin_client):
    preset = PRESETS["deepseek-anthropic"]
    data = {**UPSTREAM, "preset": preset.name, "base_url": "", "quirks": '{"no_stop": true}', **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", data)
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert (row.base_url, row.dialect, row.quirks) == (preset.base_url, "anthropic", {**preset.quirks, "no_stop": True})


def test_activating_a_credential_enables_it(admin_client):
    key = add().credentials.get()
    key.disabled_reason = "no such key"
    key.save()
    path = "/admin/upstreams/upstreamcredential/"
    assert "disabled" in admin_client.get(path).content.decode()
    admin_client.post(path, {"action": "activate", "_selected_action": [str(key.pk)]})
    key.refresh_from_db()
    assert (key.disabled_reason, key.is_active) == ("", True)


def test_the_list_of_upstreams_shows_an_open_circuit_breaker(admin_client):
    row, state = add(), live_state.current()
    for _ in range(state.breakers.threshold):
        state.record_failure(str(row.pk))
    assert "breaker open" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    state.record_success(str(row.pk))
    page = admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert ("breaker open" in page, "untried" in page) == (False, True)


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


def test_models_are_filtered_by_provider_prefix_and_upstream(admin_client):
    upstream = add()
    Route.objects.create(model=Model.objects.create(name="a", provider="maker"), upstream=upstream)
    Model.objects.create(name="b", path_prefix="/team")
    path = "/admin/upstreams/model/"
    for query, names in (({"provider": "maker"}, ["a"]), ({"path_prefix": "/team"}, ["b"]), ({"provider": "x"}, ["a", "b"])):
        assert [row.name for row in admin_client.get(path, query).context["cl"].result_list] == names
    results = admin_client.get(path, {"routes__upstream__id__exact": str(upstream.pk)}).context["cl"].result_list
    assert [row.name for row in results] == ["a"]
