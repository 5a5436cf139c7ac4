"""Every public path of the proxy, a line each. ``HOT`` and ``HOT_PATTERNS`` go to the lean handler, the rest to Django's."""

from __future__ import annotations

import re

from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from proxy import health, views
from proxy.exchange.passthrough import Endpoint

AUDIO = frozenset({"audio"})
RELAYED = [
    Endpoint(path="/v1/embeddings", estimates=True),
    Endpoint(path="/v1/completions", estimates=True),
    Endpoint(path="/v1/images/generations", default_model="dall-e-2"),
    Endpoint(path="/v1/audio/speech"),
    Endpoint(path="/v1/moderations", default_model="omni-moderation-latest"),
    Endpoint(path="/v1/rerank", estimates=True),
    Endpoint(path="/v1/audio/transcriptions", form="file", capabilities=AUDIO),
    Endpoint(path="/v1/audio/translations", form="file", capabilities=AUDIO),
]
"""Paths whose bodies pass as they are, to OpenAI-style upstreams; the default models are those of OpenAI's API."""

STORED = re.compile(r"/v1/responses/(?P<response_id>[^/]+)")

FAST_PATHS = {
    **{("POST", endpoint.path): views.relayed(endpoint) for endpoint in RELAYED},
    ("POST", "/v1/messages"): views.messages,
    ("POST", "/v1/messages/count_tokens"): views.count_tokens,
    ("POST", "/v1/responses/input_tokens"): views.input_tokens,
    ("POST", "/v1/chat/completions"): views.chat_completions,
    ("POST", "/v1/chat/completions/stream"): views.chat_completions_stream,
    ("POST", "/v1/responses"): views.responses,
    ("POST", "/v1/responses/compact"): views.responses_compact,
    ("GET", "/v1/models"): views.models,
}
FAST_PATH_PATTERNS = [
    ("POST", re.compile(r"/model/(?P<model>.+)/invoke"), views.invoke),
    ("POST", re.compile(r"/model/(?P<model>.+)/invoke-with-response-stream"), views.invoke_stream),
    ("GET", re.compile(r"/v1/models/(?P<name>.+)"), views.model),
    ("GET", STORED, views.stored_response),
    ("DELETE", STORED, views.stored_response),
    ("GET", re.compile(r"/v1/responses/(?P<response_id>[^/]+)/input_items"), views.stored_input),
]

HEALTH_PATHS = {
    "health": health.health,
    "healthz": health.health,
    "status": health.status,
    "ready": health.ready,
    "health/detailed": health.detailed,
}
# Balancers send whatever they like: neither a slash at the end nor a missing token of a form shall matter.
urlpatterns = [path(f"{name}{slash}", csrf_exempt(require_safe(view))) for name, view in HEALTH_PATHS.items() for slash in ("", "/")]
