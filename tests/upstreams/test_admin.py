import html
import re

import pytest
from django.contrib.messages import get_messages

from tests.support.fake_upstream import json_reply
from upstreams.http import auth_headers
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.presets import PRESETS
from upstreams.routing import live_state
from upstreams.secrets import vault

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
    found = dict(response.context["adminform"].form.errors)
    for formset in response.context["inline_admin_formsets"]:
        for form in formset.formset.forms:
            found |= form.errors
    return found


def told(response):
    """What this answer told; what earlier ones told waits for the next page in the same place."""
    return [str(message) for message in get_messages(response.wsgi_request)._queued_messages]


def add(name="u", base_url="http://127.0.0.1:1", **fields):
    upstream = Upstream.objects.create(name=name, base_url=base_url, **fields)
    credential = UpstreamCredential(upstream=upstream, name="main")
    auth_headers.set_secret(credential, SECRET)
    credential.save()
    return upstream


def test_an_upstream_is_made_with_its_key(admin_client):
    key = {"name": "main", "secret": f" {SECRET} ", "priority": "0", "is_active": "on"}
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", key)})
    assert response.status_code == 302, errors(response)
    credential = UpstreamCredential.objects.get()
    assert (credential.upstream.name, credential.upstream.extra_headers) == ("provider", {})
    assert vault.decrypt(credential.secret_encrypted) == SECRET


def test_a_key_can_be_replaced_or_kept_and_is_never_shown(admin_client):
    upstream = add()
    credential = upstream.credentials.get()
    path = f"/admin/upstreams/upstream/{upstream.pk}/change/"
    page = admin_client.get(path).content.decode()
    assert (SECRET in page, credential.secret_encrypted in page, "A key is stored" in page) == (False, False, True)
    form = {"id": str(credential.pk), "upstream": str(upstream.pk), "name": "renamed", "secret": "", "priority": "0", "is_active": "on"}
    for typed, kept in (("", SECRET), ("sk-new", "sk-new")):
        given = {**UPSTREAM, **rows("credentials", {**form, "secret": typed}, initial=1)}
        response = admin_client.post(path, given)
        assert response.status_code == 302, errors(response)
        credential.refresh_from_db()
        assert (credential.name, vault.decrypt(credential.secret_encrypted)) == ("renamed", kept)


def test_a_new_key_must_be_given(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", {"name": "main", "priority": "0"})})
    assert errors(response) == {"secret": ["Give the key."]}
    assert not Upstream.objects.exists()


def test_bad_quirks_are_refused_in_words(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, "quirks": '{"x": 1}', **rows("credentials")})
    assert errors(response) == {"quirks": ["Not a quirk: Object contains unknown field `x`."]}


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


def test_a_model_is_made_with_its_route(admin_client):
    upstream = add()
    route = {"upstream": str(upstream.pk), "remote_name": "anthropic/claude-*", "priority": "0", "weight": "1", "is_active": "on"}
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, **rows("routes", route)})
    assert response.status_code == 302, errors(response)
    model = Model.objects.get()
    assert (model.name, model.aliases, model.fallbacks, model.display_name, model.quirks) == ("claude-*", ["fast", "small"], [], None, {})
    assert list(Route.objects.values_list("model", "upstream", "remote_name")) == [(model.pk, upstream.pk, "anthropic/claude-*")]


def test_names_that_are_taken_are_refused_in_words(admin_client):
    Model.objects.create(name="gpt-5", aliases=["fast"])
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, **rows("routes")})
    assert errors(response) == {"aliases": ["fast already means the model gpt-5."]}


def test_edits_of_the_prompt_before_a_native_upstream_are_warned_of(admin_client):
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
        given = {**MODEL, "name": f"m{number}", "aliases": "", **fields, **rows("routes", route)}
        response = admin_client.post("/admin/upstreams/model/add/", given)
        assert response.status_code == 302, errors(response)
        warnings = [text for text in told(response) if "thinking blocks" in text]
        expected = (
            f"m{number} leads to native, where thinking blocks are bound to the conversation and prompts are cached: changing {names}"
        )
        assert [text.split(" in the middle")[0] for text in warnings] == ([expected] if names else [])
        assert ["moves on" in text for text in warnings] == (["inject_progress" in names] if names else [])


def test_a_fallback_that_is_not_there_is_pointed_out(admin_client):
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, "fallbacks": "gpt-4x", **rows("routes")})
    assert "claude-*: there is no model gpt-4x yet." in told(response)


def test_policies_that_make_no_sense_are_refused_in_words(admin_client):
    given = {**MODEL, "tool_enforcement": '{"max_retries": 0}', "body_defaults": '{"stream": true}', **rows("routes")}
    response = admin_client.post("/admin/upstreams/model/add/", given)
    assert errors(response) == {
        "body_defaults": ["stream: set by the gateway itself, and not here."],
        "tool_enforcement": ["Expected `int` >= 1 - at `max_retries`."],
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
    assert (response.status_code, told(response)) == (302, ["1 model imported."])
    assert sorted(Model.objects.values_list("name", "provider")) == [("a", "maker"), ("known", "")]
    assert Route.objects.get().upstream == row


def test_an_upstream_that_lists_nothing_is_told_in_words(admin_client, upstream):
    row = add(base_url=upstream.url)
    upstream.otherwise(json_reply({}, status=401))
    assert told(admin_client.get(import_path(row))) == ["u: Upstream returned 401: {}"]


@pytest.mark.parametrize(("place", "priorities"), [("behind", [3, 4]), ("beside", [3, 3])])
def test_a_model_that_exists_gets_a_second_route(admin_client, upstream, place, priorities):
    first, second = add("first"), add("second", base_url=upstream.url)
    model = Model.objects.create(name="shared", aliases=["same"])
    Route.objects.create(model=model, upstream=first, priority=3)
    upstream.otherwise(json_reply({"data": [{"id": "maker/shared"}]}))
    page = admin_client.get(import_path(second))
    ((value, text),) = page.context["form"].fields["joins"].choices
    assert (value, text) == (f"{model.pk} maker/shared", "shared would also be served as maker/shared")
    response = admin_client.post(import_path(second), {"joins": [value], "place": place})
    assert told(response) == ["1 route added."]
    routes = list(model.routes.order_by("created_at").values_list("upstream__name", "remote_name", "priority"))
    assert routes == [("first", "", priorities[0]), ("second", "maker/shared", priorities[1])]
    assert admin_client.get(import_path(second)).context["found"].joins == []


def test_an_import_of_nothing_is_asked_about(admin_client, upstream):
    row = add(base_url=upstream.url)
    upstream.otherwise(json_reply({"data": [{"id": "a"}]}))
    response = admin_client.post(import_path(row), {})
    assert response.context["form"].non_field_errors() == ["Choose at least one model."]


def test_everything_new_is_taken_up_and_what_is_gone_is_marked(admin_client, upstream):
    row = add(base_url=upstream.url)
    gone = Route.objects.create(model=Model.objects.create(name="old"), upstream=row)
    upstream.otherwise(json_reply({"data": [{"id": "a"}, {"id": "b"}]}))
    words = "u: 2 new models, 1 route marked as vanished."
    assert told(admin_client.post(import_path(row), {"_discover": "1"})) == [words]
    gone.refresh_from_db()
    assert gone.vanished_at is not None
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "discover", "_selected_action": [str(row.pk)]})
    assert told(response) == ["u: nothing new."]


def test_the_connection_can_be_tested(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    upstream.otherwise(json_reply({"data": [{"id": "m"}]}))
    (message,) = told(admin_client.post(path, {"_deed": "test"}))
    assert message.startswith("u is well: 1 model listed, m answered in ")
    upstream.otherwise(json_reply({}, status=500))
    response = admin_client.post("/admin/upstreams/upstream/", {"action": "check_health", "_selected_action": [str(row.pk)]})
    assert told(response) == ["u: Completion returned 500"]
    for page in ("upstreams/upstream/", f"upstreams/upstream/{row.pk}/change/", ""):
        assert "Completion returned 500" in admin_client.get(f"/admin/{page}").content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_test_tells_of_each_key(admin_client, upstream):
    row = add(base_url=upstream.url, test_model="m")
    second = UpstreamCredential(upstream=row, name="second")
    auth_headers.set_secret(second, "sk-2")
    second.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    upstream.otherwise(lambda request: json_reply({}, status=401 if request.header("authorization") == "Bearer sk-2" else 200))
    assert told(admin_client.post(path, {"_deed": "test"})) == ["u: main is well; second was refused (401)."]
    reasons = list(row.credentials.order_by("name").values_list("disabled_reason", flat=True))
    assert reasons == ["", "the upstream answered 401: upstream authentication failed"]


def test_a_disabled_key_says_why_and_is_brought_back_from_its_upstreams_page(admin_client):
    row = add()
    key = row.credentials.get()
    key.disabled_reason = "401: this key was revoked"
    key.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    assert "401: this key was revoked" in admin_client.get(path).content.decode()
    assert "401: this key was revoked" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert told(admin_client.post(path, {"_deed": f"back {key.pk}"})) == ["The key is used again."]
    key.refresh_from_db()
    assert key.disabled_reason == ""


def test_nobody_brings_back_the_key_of_another_upstream(admin_client):
    row, other = add(), add("other")
    key = other.credentials.get()
    key.disabled_reason = "refused"
    key.save()
    assert told(admin_client.post(f"/admin/upstreams/upstream/{row.pk}/change/", {"_deed": f"back {key.pk}"})) == []
    key.refresh_from_db()
    assert key.disabled_reason == "refused"


@pytest.mark.parametrize(
    ("preset", "field", "words"),
    [
        ("azure-openai", "base_url", "Give https://{resource}.openai.azure.com/openai/v1, with your resource's name."),
        ("bedrock", "region", "Give a region, for example us-east-1."),
    ],
)
def test_what_a_well_known_endpoint_lacks_is_asked_for(admin_client, preset, field, words):
    given = {**UPSTREAM, "preset": preset, "base_url": "", **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", given)
    assert errors(response) == {field: [words]}
    assert PRESETS[preset].base_url in html.unescape(response.content.decode())


def test_after_a_new_upstream_come_its_models(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials")})
    row = Upstream.objects.get()
    assert response.headers["Location"] == f"/admin/upstreams/upstream/{row.pk}/change/"
    assert import_path(row) in told(response)[-1]


def test_what_an_upstream_takes_is_asked_in_words(admin_client):
    given = {name: value for name, value in UPSTREAM.items() if name != "takes_audio"}
    response = admin_client.post("/admin/upstreams/upstream/add/", {**given, **rows("credentials")})
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert row.capabilities == {"audio": False}
    page = admin_client.get(f"/admin/upstreams/upstream/{row.pk}/change/").context["adminform"].form.initial
    assert {name: page[name] for name in ("takes_images", "takes_tools", "takes_audio")} == {
        "takes_images": True, "takes_tools": True, "takes_audio": False,
    }  # fmt: skip


def test_what_a_route_takes_can_differ_from_its_upstream(admin_client):
    model, upstream = Model.objects.create(name="m"), add()
    given = {"model": str(model.pk), "upstream": str(upstream.pk), "priority": "0", "weight": "1", "is_active": "on"}
    answers = {"takes_images": "no", "takes_tools": "yes", "takes_audio": ""}
    response = admin_client.post("/admin/upstreams/route/add/", {**given, **answers})
    assert response.status_code == 302, errors(response)
    route = Route.objects.get()
    assert route.capabilities == {"images": False, "tools": True}
    shown = admin_client.get(f"/admin/upstreams/route/{route.pk}/change/").context["adminform"].form.initial
    assert {name: shown[name] for name in answers} == answers


def test_extra_headers_are_lines(admin_client):
    given = {**UPSTREAM, "extra_headers": "X-Team: a: b\n\nX-Other:c", **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", given)
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert row.extra_headers == {"X-Team": "a: b", "X-Other": "c"}
    assert "X-Team: a: b\nX-Other: c" in admin_client.get(f"/admin/upstreams/upstream/{row.pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("extra_headers", "no colon", "“no colon” is not a header: write Name: value."),
        ("extra_headers", "bad name: x", "'bad name' is not a header with a value of one line of text."),
        (
            "quirks",
            '{"x": 1',
            'This is not JSON (line 1, column 8). Put names and texts in double quotes, for example {"name": "value"}.',
        ),
        ("base_url", "", "An upstream needs a base URL."),
        ("base_url", "https://{resource}.x/v1", "Give https://{resource}.x/v1, with your resource's name."),
    ],
)
def test_what_is_wrong_stands_at_its_field(admin_client, field, typed, words):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, field: typed, **rows("credentials")})
    assert errors(response) == {field: [words]}


def test_a_model_that_leads_nowhere_is_warned_of(admin_client):
    response = admin_client.post("/admin/upstreams/model/add/", {**MODEL, "name": "lost", "aliases": "", **rows("routes")})
    assert "lost leads nowhere yet: add a route, or requests for it are refused." in told(response)
    assert "leads nowhere" in admin_client.get("/admin/upstreams/model/").content.decode()


@pytest.mark.parametrize("path", ["upstream", "model", "route", "upstreamcredential"])
def test_rows_are_switched_off_and_on_together(admin_client, path):
    upstream = add()
    Route.objects.create(model=Model.objects.create(name="m"), upstream=upstream)
    table = {"upstream": Upstream, "model": Model, "route": Route, "upstreamcredential": UpstreamCredential}[path]
    row, noun = table.objects.get(), str(table._meta.verbose_name)
    for action, state in (("deactivate", False), ("activate", True)):
        response = admin_client.post(f"/admin/upstreams/{path}/", {"action": action, "_selected_action": [str(row.pk)]})
        assert told(response) == [f"1 {noun} switched {'on' if state else 'off'}."]
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


def test_a_preset_fills_in_what_is_left_empty(admin_client):
    preset = PRESETS["deepseek-anthropic"]
    given = {**UPSTREAM, "preset": preset.name, "base_url": "", "quirks": '{"no_stop": true}', **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", given)
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert (row.base_url, row.dialect, row.quirks) == (preset.base_url, "anthropic", {**preset.quirks, "no_stop": True})


def test_activating_a_key_brings_it_back(admin_client):
    key = add().credentials.get()
    key.disabled_reason = "no such key"
    key.save()
    path = "/admin/upstreams/upstreamcredential/"
    assert "disabled" in admin_client.get(path).content.decode()
    admin_client.post(path, {"action": "activate", "_selected_action": [str(key.pk)]})
    key.refresh_from_db()
    assert (key.disabled_reason, key.is_active) == ("", True)


def test_the_list_of_upstreams_shows_an_open_circuit_breaker(admin_client):
    row, known = add(), live_state.current()
    for _ in range(known.breakers.threshold):
        known.upstream_failed(str(row.pk))
    assert "breaker open" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    known.upstream_answered(str(row.pk))
    page = admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert ("breaker open" in page, "untried" in page) == (False, True)


@pytest.mark.parametrize(
    ("page", "way"),
    [
        ("", ["Upstreams"]),
        ("add/", ["Upstreams", "Add upstream"]),
        ("{}/change/", ["Upstreams", "my upstream"]),
        ("{}/history/", ["Upstreams", "my upstream"]),
    ],
)
def test_pages_say_where_they_are(admin_client, page, way):
    row = add("my upstream")
    head = re.search(r"<h1.*?</h1>", admin_client.get(f"/admin/upstreams/upstream/{page.format(row.pk)}").content.decode(), re.DOTALL)
    text = re.sub(r"<[^>]*>", "\n", head[0].replace("chevron_right", ""))
    assert [line.strip() for line in text.splitlines() if line.strip()] == way


def test_a_history_says_what_was_changed_and_by_whom(admin_client):
    row = add("old")
    row.name = "new"
    row.save()
    page = admin_client.get(f"/admin/upstreams/upstream/{row.pk}/history/").content.decode()
    assert [text for text in ("old → new", "a script", "Change reason", "None") if text in page] == ["old → new", "a script"]


def test_a_page_that_is_not_there_looks_like_the_others(admin_client, client):
    response = admin_client.get("/admin/nothing/here/")
    assert (response.status_code, "There is no such page" in response.content.decode()) == (404, True)
    assert "There is no such page" not in client.get("/nothing").content.decode()


def test_models_are_filtered_by_what_they_have(admin_client):
    upstream = add()
    Route.objects.create(model=Model.objects.create(name="a", provider="maker"), upstream=upstream)
    Model.objects.create(name="b", path_prefix="/team")
    path = "/admin/upstreams/model/"
    for query, names in (({"provider": "maker"}, ["a"]), ({"path_prefix": "/team"}, ["b"]), ({"provider": "x"}, ["a", "b"])):
        assert [row.name for row in admin_client.get(path, query).context["cl"].result_list] == names
    found = admin_client.get(path, {"routes__upstream__id__exact": str(upstream.pk)}).context["cl"].result_list
    assert [row.name for row in found] == ["a"]
