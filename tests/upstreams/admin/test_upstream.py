"""The pages of upstreams and routes."""

import html

import pytest

from tests.upstreams.admin.pages import SECRET, UPSTREAM, add, errors, rows
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.presets import PRESETS
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


def test_an_upstream_is_created_with_its_credential(admin_client):
    key = {"name": "main", "secret": f" {SECRET} ", "priority": "0", "is_active": "on"}
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", key)})
    assert response.status_code == 302, errors(response)
    credential = UpstreamCredential.objects.get()
    assert (credential.upstream.name, credential.upstream.extra_headers) == ("provider", {})
    assert store.decrypt(credential.secret_encrypted) == SECRET


def test_invalid_quirks_are_refused(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, "quirks": '{"x": 1}', **rows("credentials")})
    assert errors(response) == {"quirks": ["x: unknown field."]}


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


def test_a_preset_fills_in_empty_fields(admin_client):
    preset = PRESETS["deepseek-anthropic"]
    data = {**UPSTREAM, "preset": preset.name, "base_url": "", "quirks": '{"no_stop": true}', **rows("credentials")}
    response = admin_client.post("/admin/upstreams/upstream/add/", data)
    assert response.status_code == 302, errors(response)
    row = Upstream.objects.get()
    assert (row.base_url, row.dialect, row.quirks) == (preset.base_url, "anthropic", {**preset.quirks, "no_stop": True})


def test_capabilities_of_a_route_override_its_upstreams(admin_client):
    model, upstream = Model.objects.create(name="m"), add()
    data = {"model": str(model.pk), "upstream": str(upstream.pk), "priority": "0", "weight": "1", "is_active": "on"}
    choices = {"takes_images": "no", "takes_tools": "yes", "takes_audio": ""}
    response = admin_client.post("/admin/upstreams/route/add/", {**data, **choices})
    assert response.status_code == 302, errors(response)
    route = Route.objects.get()
    assert route.capabilities == {"images": False, "tools": True}
    initial = admin_client.get(f"/admin/upstreams/route/{route.pk}/change/").context["adminform"].form.initial
    assert {name: initial[name] for name in choices} == choices
