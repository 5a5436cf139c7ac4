"""Template tags of the admin: examples for clients and scripts, breadcrumbs, the gateway's URL."""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple

from django import template
from django.apps import apps
from django.db.models import BooleanField
from django.db.models import Model as Row
from django.http import HttpRequest
from django.urls import ResolverMatch
from django.utils.text import capfirst

from accounts.common import wildcards
from upstreams.models import Model

register = template.Library()

KEY_PLACEHOLDER = "pxb_…"
MAX_NAMES = 200
FALLBACK_MODEL = "echo"


@register.inclusion_tag("pxbin/snippets.html")
def client_examples(request: HttpRequest, key: str = KEY_PLACEHOLDER, allowed: list[str] | None = None) -> dict[str, Any]:
    """Configurations of Claude Code and Codex, and curl commands. ``allowed``: the key's models, ``None`` for all."""
    url = request.build_absolute_uri("/").rstrip("/")
    model = example_model(allowed)
    hello = {"messages": [{"role": "user", "content": "Hello"}]}
    messages, chat = {"model": model, "max_tokens": 100, **hello}, {"model": model, **hello}
    lines = {
        "Claude Code": _lines(
            f"export ANTHROPIC_BASE_URL={shlex.quote(url)}",
            f"export ANTHROPIC_AUTH_TOKEN={key}",
            f"export ANTHROPIC_MODEL={shlex.quote(model)}",
            "export ANTHROPIC_DEFAULT_HAIKU_MODEL=$ANTHROPIC_MODEL",
            "claude",
        ),
        "Codex": _lines(
            f"# In ~/.codex/config.toml; before the start: export PXBIN_KEY={key}",
            f"model = {json.dumps(model)}",
            'model_provider = "pxbin"',
            "",
            "[model_providers.pxbin]",
            'name = "pxbin"',
            f"base_url = {json.dumps(url + '/v1')}",
            'env_key = "PXBIN_KEY"',
            'wire_api = "responses"',
        ),
        "curl, as an Anthropic client": _curl(f"{url}/v1/messages", f"x-api-key: {key}", messages),
        "curl, as an OpenAI client": _curl(f"{url}/v1/chat/completions", f"Authorization: Bearer {key}", chat),
        "Gemini CLI": _lines(
            f"export GOOGLE_GEMINI_BASE_URL={shlex.quote(url)}", f"export GEMINI_API_KEY={key}", f"gemini -m {shlex.quote(model)}"
        ),
        "google-genai (Python)": _lines(
            "from google import genai",
            "",
            f"client = genai.Client(api_key={json.dumps(key)}, http_options={{'base_url': {json.dumps(url)}}})",
            f"print(client.models.generate_content(model={json.dumps(model)}, contents='Hello').text)",
        ),
        "boto3 (Converse)": _lines(
            "import boto3",
            "",
            "client = boto3.client(",
            f"    'bedrock-runtime', endpoint_url={json.dumps(url)}, region_name='us-east-1',",
            f"    aws_access_key_id={json.dumps(key)}, aws_secret_access_key='unused',",
            ")",
            "messages = [{'role': 'user', 'content': [{'text': 'Hello'}]}]",
            f"print(client.converse(modelId={json.dumps(model)}, messages=messages)['output']['message'])",
        ),
        "OpenAI SDKs": _lines(f"export OPENAI_BASE_URL={shlex.quote(url + '/v1')}", f"export OPENAI_API_KEY={key}"),
    }
    return {"snippets": list(lines.items())}


@register.inclusion_tag("pxbin/snippets.html")
def management_examples(request: HttpRequest, key: str) -> dict[str, Any]:
    """A curl command for the management API."""
    url = request.build_absolute_uri("/api/v1/")
    return {"snippets": [("curl", f"curl {shlex.quote(url + 'upstreams')} -H 'x-api-key: {key}'")]}


class Chip(NamedTuple):
    """An active filter in words. ``url``: the same list without it."""

    title: str
    value: str
    url: str


@register.inclusion_tag("pxbin/filter_chips.html")
def filter_chips(cl: Any) -> dict[str, list[Chip]]:
    """The search and the active filters of a list."""
    chips = [Chip("Search", cl.query, _without(cl, "q"))] if cl.query else []
    for spec in cl.filter_specs:
        names = [name for name in spec.expected_parameters() if name and cl.params.get(name)]
        if names:
            values = (_filter_value(spec, cl.params[name]) for name in names)
            chips.append(Chip(capfirst(spec.title), " ".join(values), _without(cl, *names)))
    return {"chips": chips}


def _without(cl: Any, *names: str) -> str:
    """The query string of the first page of a list without some parameters."""
    return str(cl.get_query_string(dict.fromkeys((*names, "p", "before"))))


def _filter_value(spec: Any, value: str) -> str:
    """The name of a filter's value: of a choice of the filter or of its field."""
    field = getattr(spec, "field", None)
    choices = [*(getattr(spec, "lookup_choices", None) or ()), *(getattr(field, "flatchoices", None) or ())]
    named = {str(choice): str(title) for choice, title in choices}
    if isinstance(field, BooleanField):
        named |= {"1": "yes", "0": "no"}
    return named.get(value, value)


@register.filter
def breadcrumbs(parts: list[dict[str, Any]], match: ResolverMatch | None) -> list[dict[str, Any]]:
    """The theme's breadcrumbs without the app; objects keep their spelling, and a page that adds an object is the last part."""
    if len(parts) == 1:
        return parts
    crumbs = [{**part, "title": part["title"] if isinstance(part["title"], Row) else capfirst(part["title"])} for part in parts[1:]]
    if match is not None and (match.url_name or "").endswith("_add"):
        app, _, name = (match.url_name or "").removesuffix("_add").partition("_")
        model = apps.get_model(app, name)
        crumbs.append({"title": f"Add {model._meta.verbose_name}"})  # noqa: SLF001  (Django's documented API)
    return crumbs


@register.simple_tag
def gateway_url(request: HttpRequest) -> str:
    """The gateway's URL, as this browser uses it."""
    return request.build_absolute_uri("/").rstrip("/")


def example_model(allowed: list[str] | None) -> str:
    """A model with an active route that the key may use, preferably not the echo."""
    rows = Model.objects.filter(is_active=True, path_prefix="", routes__is_active=True, routes__upstream__is_active=True)
    names = rows.exclude(name__contains="*").order_by("name").values_list("name", flat=True).distinct()[:MAX_NAMES]
    usable = [name for name in names if allowed is None or any(wildcards.match(pattern, name) is not None for pattern in allowed)]
    real = [name for name in usable if not name.startswith("echo")]
    return next(iter([*real, *usable]), FALLBACK_MODEL)


def _lines(*lines: str) -> str:
    return "\n".join(lines)


def _curl(url: str, header: str, body: dict[str, Any]) -> str:
    return _lines(
        f"curl {shlex.quote(url)} \\",
        f"  -H {shlex.quote(header)} \\",
        "  -H 'content-type: application/json' \\",
        f"  -d {shlex.quote(json.dumps(body))}",
    )
