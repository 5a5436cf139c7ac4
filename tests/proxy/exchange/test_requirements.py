"""What a request requires of its target, tested without a gateway."""

import base64
import json

from billing.request_log.entry import Meter
from proxy.exchange import requirements
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.registry import REGISTRY
from upstreams.catalog import snapshot
from upstreams.catalog.entries import ModelEntry, ResolvedModel, RouteEntry, UpstreamEntry

CHAT = REGISTRY["openai_chat"]
NOISE = base64.b64encode(bytes(60_000)).decode()
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{NOISE}"}}


def call(*content):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": list(content)}]}).encode()
    http = HttpRequest(method="POST", path="/", body=body)
    return RequestContext(http, CHAT, CHAT.open_request(body), identity="0" * 24, created=0, seal_key=b"k")


def model(name, window, **fields):
    upstream = UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat")
    return ModelEntry(id=name, name=name, context_window=window, routes=(RouteEntry(id=name, upstream=upstream),), **fields)


def tokens(monkeypatch, *models):
    monkeypatch.setattr(snapshot, "_current", snapshot.Catalogue([(entry, True) for entry in models]))
    meter = Meter(id="i", timestamp=0, started=0, request_id="r", method="POST", path="/", dialect="openai_chat")
    return requirements.collect_requirements(call(PICTURE), ResolvedModel(models[0], "m"), meter=meter).tokens


def test_a_picture_counts_as_a_picture_where_only_a_fallback_might_be_too_small_for_its_bytes(monkeypatch):
    small, large = model("small", 16_000), model("m", 1_000_000, fallbacks=("middle",))
    assert tokens(monkeypatch, large, model("middle", 500_000)) > 16_000
    for middle in (model("middle", 16_000), model("middle", 500_000, fallbacks=("small",))):
        assert tokens(monkeypatch, large, middle, small) < 2_000
