"""Untranslated bodies: errors are encoded in the dialect that declares the path, and decoded in the upstream's."""

from __future__ import annotations

import json

import msgspec
import pytest

from accounts import keys
from billing.request_log import journal
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from proxy.exchange.passthrough import DeclaredPath, ForwardedPath, PlainPath, at_untranslated_paths
from proxy.exchange.passthrough_attempt import PassthroughAttempt, StreamBrokenError
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.client_api import UntranslatedPath
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, Failure
from proxy.views import untranslated_view
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.plan import Target

EMBEDDINGS = UntranslatedPath(path="/v1/embeddings")
BODY = b'{"model":"m","input":"Hi","stream":true}'
BROKEN = Failure(kind="bad_gateway", message="The upstream broke off", status=502)


def attempt(client: str, upstream: str, *, path: ForwardedPath | None = None) -> PassthroughAttempt:
    """An attempt that received the headers of an event stream."""
    path = path or DeclaredPath(EMBEDDINGS)
    http = HttpRequest(method="POST", path="/v1/embeddings", body=BODY)
    untranslated = path.read(http)
    context = RequestContext(http, REGISTRY[client], untranslated.envelope, identity="0" * 24, created=0, seal_key=b"k")
    upstream_entry = UpstreamEntry(id="u", name="u", base_url="http://x", dialect=upstream)
    route = RouteEntry(id="r", upstream=upstream_entry)
    model = ModelEntry(id="m", name="m", routes=(route,))
    target = Target(model=model, route=route, upstream=upstream_entry, credential=None, remote_name="m", quirks=upstream_entry.quirks)
    opened = PassthroughAttempt(context, target, path.upstream_request(http, untranslated))
    opened.call.status, opened.call.received = 400, {"content-type": "text/event-stream"}
    return opened


@pytest.mark.parametrize("client", REGISTRY)
def test_a_broken_event_stream_ends_with_an_error_of_the_clients_dialect(client):
    dialect = REGISTRY[client]
    expected = b"".join(dialect.framing.write(frame) for frame in dialect.break_off(BROKEN, 0))
    assert attempt(client, "openai_chat").abort_stream(BROKEN) == expected


def test_a_broken_stream_of_plain_proxy_mode_closes_the_connection():
    with pytest.raises(StreamBrokenError, match=r"^The upstream broke off$"):
        attempt("anthropic", PASSTHROUGH, path=PlainPath(path="/v1/embeddings")).abort_stream(BROKEN)


@pytest.mark.parametrize(
    ("client", "upstream", "source"),
    [("anthropic", "openai_chat", "openai_chat"), ("openai_chat", "anthropic", "anthropic"), ("anthropic", PASSTHROUGH, "anthropic")],
)
def test_errors_are_decoded_in_the_upstreams_dialect_or_the_clients_if_it_is_unknown(client, upstream, source):
    raw = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "No", "param": "input"}}).encode()
    expected = msgspec.structs.replace(REGISTRY[source].decode_error(400, {}, raw), status=400)
    opened = attempt(client, upstream)
    assert opened.call.decode_error(opened.upstream_dialect, raw).failure == expected


@pytest.mark.parametrize(("status", "client_status"), [(422, 422), (400, 400), (409, 400)])
@pytest.mark.parametrize("name", ["openai_chat", "anthropic"])
def test_an_upstreams_422_is_kept_in_every_dialect(name, status, client_status):
    failure = Failure(kind="invalid_request", message="No", status=status)
    dialect = REGISTRY[name]
    encoded = at_untranslated_paths(dialect).encode_error(failure, "req_1")
    assert encoded == msgspec.structs.replace(dialect.encode_error(failure, "req_1"), status=client_status)


@pytest.mark.parametrize("name", REGISTRY)
async def test_an_error_of_an_untranslated_path_is_encoded_in_the_dialect_that_declares_it(name, monkeypatch):
    log_entries = []

    class Journal:
        def append(self, entry, *, unauthenticated, payload=None):
            log_entries.append((entry.dialect, entry.outcome, entry.status_code, unauthenticated))

    monkeypatch.setattr(journal, "current", Journal)
    http = HttpRequest(method="POST", path="/v1/embeddings", body=BODY, request_id="req_1", raw_headers=[(b"content-encoding", b"br")])
    response = await untranslated_view(REGISTRY[name], EMBEDDINGS)(http)
    expected = REGISTRY[name].encode_error(Failure(kind="authentication", message=keys.MISSING), "req_1")
    assert isinstance(response, JsonResponse)
    assert (response.status, response.body) == (expected.status, expected.body)
    assert log_entries == [(name, "rejected", expected.status, True)]


@pytest.mark.parametrize("endpoint", [DeclaredPath(EMBEDDINGS), PlainPath(path="/any", default_model="plain")])
def test_the_query_may_not_name_another_model_than_the_one_that_is_checked(endpoint):
    def read(query):
        return endpoint.read(HttpRequest(method="POST", path="/", body=b'{"model":"m","input":"x"}', query_string=query)).envelope.model

    assert (read(b""), read(b"model=m&x=1")) == ("m", "m")
    for query in (b"model=other", b"model=m&MODEL=other", b"x=1&%6dodel=other"):
        with pytest.raises(ClientMistake, match="model: the query names another model than the body"):
            read(query)
