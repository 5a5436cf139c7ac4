"""How well-known clients are connected: the exact file or variables, with this gateway's address, a model and a key. Pure."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Gateway(NamedTuple):
    """What a client needs to know. ``url`` has no slash at its end; ``context_window`` is in tokens, ``None`` if it is unknown."""

    url: str
    key: str
    model: str
    context_window: int | None = None

    @property
    def openai_url(self) -> str:
        """The base URL of OpenAI's SDKs."""
        return f"{self.url}/v1"


class Snippet(NamedTuple):
    """A text to copy. ``place``: the file, the terminal or the form in which it belongs."""

    place: str
    text: str


class Setup(NamedTuple):
    """A client. ``notes`` are sentences for people."""

    title: str
    snippets: Callable[[Gateway], list[Snippet]]
    notes: tuple[str, ...] = ()


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _claude_code(gateway: Gateway) -> list[Snippet]:
    window = str(gateway.context_window) if gateway.context_window else ""
    variables = {
        "ANTHROPIC_BASE_URL": gateway.url,
        "ANTHROPIC_AUTH_TOKEN": gateway.key,
        "ANTHROPIC_MODEL": gateway.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": gateway.model,
        **({"CLAUDE_CODE_MAX_CONTEXT_TOKENS": window} if window else {}),
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return [
        Snippet("Terminal", _lines(*exports, "claude")),
        Snippet("For ever: ~/.claude/settings.json", json.dumps({"env": variables}, indent=2, ensure_ascii=False)),
    ]


def _codex(gateway: Gateway) -> list[Snippet]:
    config = _lines(
        f"model = {json.dumps(gateway.model)}",
        'model_provider = "pxbin"',
        f"model_context_window = {gateway.context_window}" if gateway.context_window else "",
        "\n[model_providers.pxbin]",
        'name = "pxbin"',
        f"base_url = {json.dumps(gateway.openai_url)}",
        'env_key = "PXBIN_KEY"',
        'wire_api = "responses"',
    )
    return [Snippet("~/.codex/config.toml", config), Snippet("Terminal", _lines(f"export PXBIN_KEY={shlex.quote(gateway.key)}", "codex"))]


def _form(place: str, fields: Mapping[str, str]) -> list[Snippet]:
    return [Snippet(place, _lines(*(f"{name}: {value}" for name, value in fields.items())))]


def _cursor(gateway: Gateway) -> list[Snippet]:
    fields = {"OpenAI API Key": gateway.key, "Override OpenAI Base URL": gateway.openai_url, "Add custom model": gateway.model}
    return _form("Settings → Models → API Keys", fields)


def _cline(gateway: Gateway) -> list[Snippet]:
    window = {"Context Window Size": str(gateway.context_window)} if gateway.context_window else {}
    fields = {"API Provider": "OpenAI Compatible", "Base URL": gateway.openai_url, "API Key": gateway.key, "Model ID": gateway.model}
    return _form("Cline's settings", {**fields, **window})


def _open_webui(gateway: Gateway) -> list[Snippet]:
    command = _lines(
        "docker run -d -p 3000:8080 \\",
        f"  -e OPENAI_API_BASE_URL={shlex.quote(gateway.openai_url)} \\",
        f"  -e OPENAI_API_KEY={shlex.quote(gateway.key)} \\",
        f"  -e DEFAULT_MODELS={shlex.quote(gateway.model)} \\",
        "  -v open-webui:/app/backend/data ghcr.io/open-webui/open-webui:main",
    )
    return [
        Snippet("Terminal", command),
        *_form("Or: Admin Settings → Connections → OpenAI API", {"URL": gateway.openai_url, "Key": gateway.key}),
    ]


def _openai_sdk(gateway: Gateway) -> list[Snippet]:
    program = _lines(
        "from openai import OpenAI",
        "",
        f"client = OpenAI(base_url={json.dumps(gateway.openai_url)}, api_key={json.dumps(gateway.key)})",
        "answer = client.chat.completions.create(",
        f'    model={json.dumps(gateway.model)}, messages=[{{"role": "user", "content": "Hello"}}]',
        ")",
        "print(answer.choices[0].message.content)",
    )
    variables = _lines(f"export OPENAI_BASE_URL={shlex.quote(gateway.openai_url)}", f"export OPENAI_API_KEY={shlex.quote(gateway.key)}")
    return [Snippet("Python", program), Snippet("Or as variables, for every language", variables)]


def _anthropic_sdk(gateway: Gateway) -> list[Snippet]:
    program = _lines(
        "from anthropic import Anthropic",
        "",
        f"client = Anthropic(base_url={json.dumps(gateway.url)}, api_key={json.dumps(gateway.key)})",
        "answer = client.messages.create(",
        f'    model={json.dumps(gateway.model)}, max_tokens=1000, messages=[{{"role": "user", "content": "Hello"}}]',
        ")",
        "print(answer.content[0].text)",
    )
    variables = _lines(f"export ANTHROPIC_BASE_URL={shlex.quote(gateway.url)}", f"export ANTHROPIC_API_KEY={shlex.quote(gateway.key)}")
    return [Snippet("Python", program), Snippet("Or as variables, for every language", variables)]


def _boto3(gateway: Gateway) -> list[Snippet]:
    program = _lines(
        "import boto3, json",
        "",
        "client = boto3.client(",
        f'    "bedrock-runtime", endpoint_url={json.dumps(gateway.url)}, region_name="us-east-1",',
        f'    aws_access_key_id={json.dumps(gateway.key)}, aws_secret_access_key="not checked",',
        ")",
        'body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello"}]}',
        f"answer = client.invoke_model(modelId={json.dumps(gateway.model)}, body=json.dumps(body))",
        'print(json.load(answer["body"]))',
    )
    return [Snippet("Python", program)]


def _langchain(gateway: Gateway) -> list[Snippet]:
    arguments = f"base_url={{}}, api_key={json.dumps(gateway.key)}, model={json.dumps(gateway.model)}"
    return [
        Snippet(
            "langchain-openai",
            _lines(
                "from langchain_openai import ChatOpenAI",
                "",
                f'print(ChatOpenAI({arguments.format(json.dumps(gateway.openai_url))}).invoke("Hello").content)',
            ),
        ),
        Snippet(
            "langchain-anthropic",
            _lines(
                "from langchain_anthropic import ChatAnthropic",
                "",
                f'print(ChatAnthropic({arguments.format(json.dumps(gateway.url))}).invoke("Hello").content)',
            ),
        ),
    ]


SETUPS: Mapping[str, Setup] = {
    "claude-code": Setup(
        "Claude Code",
        _claude_code,
        ("Without the context window Claude Code assumes a million tokens for names that it does not know.",),
    ),
    "codex": Setup("Codex", _codex, ("Codex speaks the Responses API only.",)),
    "cursor": Setup("Cursor", _cursor, ("Cursor's own servers call the address: it must be reachable from the internet, with https.",)),
    "cline": Setup("Cline", _cline),
    "open-webui": Setup("Open WebUI", _open_webui, ("In a container, localhost is the container: use host.docker.internal instead.",)),
    "openai-sdk": Setup("OpenAI SDK", _openai_sdk, ("The Responses API works the same way: client.responses.create(…).",)),
    "anthropic-sdk": Setup("Anthropic SDK", _anthropic_sdk),
    "boto3": Setup("boto3 (Bedrock)", _boto3, ("The key takes the place of the access key id. The signature is not checked.",)),
    "langchain": Setup("LangChain", _langchain),
}
"""Every client of the page, by its name in URLs, the most asked for first."""

EXAMPLE = Gateway("https://llm.example.com", "pxb_…", "my-model", 200_000)


def as_markdown() -> str:
    """The text of `docs/clients.md`: every configuration, with :data:`EXAMPLE`."""
    parts = [
        "# Clients",
        (
            "What each client needs. The page **Connect a client** of the admin shows the same with this gateway's address, a model\n"
            "that the key may use, its context window and a fresh key, and waits for the first call."
        ),
        "This page is generated: `python -m pxbin_site.pages.client_setups > docs/clients.md`.",
    ]
    for setup in SETUPS.values():
        parts.append(f"## {setup.title}")
        for snippet in setup.snippets(EXAMPLE):
            parts += [f"{snippet.place}:", f"```\n{snippet.text}\n```"]
        parts += setup.notes
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
