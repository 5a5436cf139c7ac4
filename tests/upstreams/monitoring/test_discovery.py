import pytest

from proxy.translation.dialects.upstream_api import ListedModel
from tests.support.fake_upstream import HANG, RESET, Reply, bytes_reply, json_reply
from upstreams.http import ssrf_guard
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.monitoring import discovery
from upstreams.monitoring.discovery import DiscoveryFailed, Imported, Stage, import_models, list_models
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

SECRET = "sk-upstream-secret"


@pytest.fixture
def provider(upstream):
    def make(path="/v1", **fields):
        row = Upstream.objects.create(name="provider", base_url=upstream.url + path, **fields)
        credential = UpstreamCredential(upstream=row)
        store.set_secret(credential, SECRET)
        credential.save()
        return row

    return make


def failure(row, **options):
    with pytest.raises(DiscoveryFailed) as caught:
        list_models(row, **options)
    return caught.value.stage, str(caught.value)


def test_the_list_of_openai(upstream, provider):
    upstream.reply(
        json_reply(
            {
                "object": "list",
                "data": [
                    {"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"},
                    {"id": "qwen", "owned_by": "vllm", "max_model_len": 32768},
                    {"id": "router/x", "context_length": 200000, "max_tokens": 8192},
                    {"id": "odd", "owned_by": None, "context_length": "many", "max_tokens": True},
                    {"no": "id"},
                    {"id": "gpt-5"},
                    {"id": "half\ud800"},
                    {"id": "nul\0"},
                    {"id": " "},
                    {"id": "fine", "display_name": "\ud800", "owned_by": "a\0"},
                ],
            }
        )
    )
    assert list_models(provider()) == [
        ListedModel(name="gpt-5", provider="openai"),
        ListedModel(name="qwen", provider="vllm", context_window=32768),
        ListedModel(name="router/x", context_window=200000, max_output_tokens=8192),
        ListedModel(name="odd"),
        ListedModel(name="fine"),
    ]
    (request,) = upstream.requests
    assert (request.method, request.path, request.header("authorization")) == ("GET", "/v1/models", f"Bearer {SECRET}")
    assert request.header("host") == f"127.0.0.1:{upstream.port}"


def test_the_pages_of_anthropic_are_followed(upstream, provider):
    def page(*names, has_more):
        items = [{"type": "model", "id": name, "display_name": name.title(), "max_input_tokens": 200000} for name in names]
        return json_reply({"data": items, "has_more": has_more, "first_id": names[0], "last_id": names[-1]})

    upstream.reply(page("a", "b", has_more=True), page("c", has_more=False))
    assert [model.name for model in list_models(provider("", dialect="anthropic"))] == ["a", "b", "c"]
    assert [request.path for request in upstream.requests] == ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=b"]
    first = upstream.requests[0]
    assert (first.header("x-api-key"), first.header("anthropic-version"), first.header("authorization")) == (SECRET, "2023-06-01", None)


def test_a_list_that_repeats_a_page_ends(upstream, provider):
    upstream.otherwise(json_reply({"data": [{"id": "a"}], "has_more": True, "last_id": "a"}))
    assert [model.name for model in list_models(provider())] == ["a"]
    assert len(upstream.requests) == 2


def test_a_bare_list(upstream, provider):
    upstream.reply(json_reply([{"id": "a"}]))
    assert list_models(provider()) == [ListedModel(name="a")]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (json_reply({"error": f"bad key {SECRET}"}, status=401), (Stage.STATUS, 'Upstream returned 401: {"error": "bad key ***"}')),
        (bytes_reply(b"x" * 5000, status=500), (Stage.STATUS, "Upstream returned 500: " + "x" * 1024)),
        (bytes_reply(b"<html>"), (Stage.PARSE, "Failed to parse upstream response")),
        (bytes_reply(b"[" * 100_000), (Stage.PARSE, "Failed to parse upstream response")),
        (json_reply({"models": []}), (Stage.PARSE, "Failed to parse upstream response")),
        (Reply(302, {"location": "http://a.example/"}), (Stage.STATUS, "The upstream redirects to http://a.example/: change its address")),
    ],
)
def test_errors_do_not_contain_the_secret(upstream, provider, reply, expected):
    upstream.reply(reply)
    assert failure(provider()) == expected


def test_an_upstream_that_cannot_be_reached(upstream, provider):
    row = provider()
    upstream.reply(Reply(instead=RESET))
    assert failure(row)[0] == Stage.CONNECTION
    upstream.reply(Reply(instead=HANG))
    assert failure(row, seconds=0.2) == (Stage.CONNECTION, "Failed to reach upstream: no response within 0.2 s")
    upstream.reply(json_reply({"data": []}), Reply(pieces=[b"{", 0.15, b" ", 0.15, b" "]))
    assert list_models(row) == []
    assert failure(row, seconds=0.2) == (Stage.CONNECTION, "Failed to reach upstream: no response within 0.2 s")


def test_metadata_services_are_not_called(provider):
    row = provider()
    row.base_url = "http://169.254.169.254/v1"
    assert failure(row) == (
        Stage.CONNECTION,
        f"Failed to reach upstream: {ssrf_guard.MESSAGE}",
    )


def test_a_disabled_credential_is_used_if_there_is_no_other(upstream, provider):
    row = provider()
    UpstreamCredential.objects.update(disabled_reason="401")
    upstream.reply(json_reply({"data": []}))
    list_models(row)
    assert upstream.requests[0].header("authorization") == f"Bearer {SECRET}"


def test_imports_create_a_model_and_a_route_and_skip_existing_names(provider):
    row = provider()
    Model.objects.create(name="existing", aliases=["alias"])
    imported = import_models(
        row,
        [
            "existing",
            "alias",
            "new",
            "new",
            "star*",
            "x" * 201,
            ListedModel(name="rich", provider="p", display_name="Rich", context_window=8),
        ],
    )
    assert imported == Imported(["new", "rich"], ["existing", "alias", "new", "star*", "x" * 201])
    routes = Route.objects.order_by("remote_name").values_list("model__name", "upstream", "remote_name")
    assert list(routes) == [("new", row.pk, "new"), ("rich", row.pk, "rich")]
    rich = Model.objects.get(name="rich")
    assert (rich.provider, rich.display_name, rich.context_window) == ("p", "Rich", 8)
    assert (Model.history.filter(name="new").count(), Route.history.count()) == (1, 2)
    assert import_models(row, ["new"]) == Imported([], ["new"])
    assert import_models(row, ["new"], path_prefix="/team").created == ["new"]


def test_imports_take_a_fixed_number_of_queries(provider, django_assert_num_queries):
    row = provider()
    for prefix, number in (("/one", 1), ("/many", 20)):
        with django_assert_num_queries(13):
            assert len(import_models(row, [f"m{index}" for index in range(number)], path_prefix=prefix).created) == number


def test_taken_names_are_those_below_the_prefix():
    Model.objects.create(name="a", aliases=["b"])
    Model.objects.create(name="c", path_prefix="/team")
    assert (discovery.taken_names(), discovery.taken_names("/team")) == ({"a", "b"}, {"c"})


# Discovery


def listing(*names):
    return json_reply({"data": [{"id": name, "context_length": 1000} for name in names]})


def vanished(row):
    return {route.remote_name: route.vanished_at is not None for route in row.routes.all()}


def test_new_models_are_created_vanished_routes_marked_and_returned_routes_unmarked(upstream, provider):
    row = provider()
    manual_model = Model.objects.create(name="mine")
    Route.objects.create(model=manual_model, upstream=row, remote_name="b")
    upstream.reply(listing("a", "b"), listing("b", "c"), listing("a", "b", "c"))
    assert discovery.discover(row) == {"created": 1, "vanished": 0, "returned": 0}
    assert discovery.discover(row) == {"created": 1, "vanished": 1, "returned": 0}
    assert vanished(row) == {"a": True, "b": False, "c": False}
    assert discovery.discover(row) == {"created": 0, "vanished": 0, "returned": 1}
    assert vanished(row) == {"a": False, "b": False, "c": False}
    assert sorted(Model.objects.values_list("name", "context_window")) == [("a", 1000), ("c", 1000), ("mine", None)]


def test_routes_with_patterns_do_not_vanish(upstream, provider):
    row = provider()
    Route.objects.create(model=Model.objects.create(name="x-*"), upstream=row)
    upstream.reply(listing("a"))
    assert discovery.discover(row)["vanished"] == 0


def test_an_empty_list_marks_nothing(upstream, provider):
    row = provider()
    Route.objects.create(model=Model.objects.create(name="a"), upstream=row, remote_name="a")
    upstream.reply(listing())
    with pytest.raises(discovery.DiscoveryFailed):
        discovery.discover(row)
    assert vanished(row) == {"a": False}
