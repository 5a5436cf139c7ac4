"""A model's policies between every two dialects: the upstream reads the same prompt, whoever asked and in whatever words."""

import json

import msgspec
import pytest

from proxy.exchange.prepare import Edits, Preparer
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.policies.model_policies import Policies
from proxy.translation.quirks import Quirks

SEAL_KEY = b"the secret of the tests"
ARGUMENTS = '{"command": "cd /srv/app && ls"}'
FUNCTION = {"type": "function", "function": {"name": "Bash", "arguments": ARGUMENTS}}
USED = {"type": "tool_use", "id": "t1", "name": "Bash", "input": json.loads(ARGUMENTS)}
MESSAGES = {
    "max_tokens": 5000,
    "system": [{"type": "text", "text": "You are Claude.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Fix it"},
        {"role": "assistant", "content": [USED]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}]},
    ],
}
REQUESTS = {
    "anthropic": {"model": "m", **MESSAGES},
    "bedrock": {"anthropic_version": "bedrock-2023-05-31", **MESSAGES},
    "openai_chat": {
        "model": "m",
        "max_tokens": 5000,
        "messages": [
            {"role": "system", "content": "You are Claude."},
            {"role": "user", "content": "Fix it"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "t1", **FUNCTION}]},
            {"role": "tool", "tool_call_id": "t1", "content": "a.py"},
        ],
    },
    "openai_responses": {
        "model": "m",
        "max_output_tokens": 5000,
        "instructions": "You are Claude.",
        "input": [
            {"role": "user", "content": "Fix it"},
            {"type": "function_call", "call_id": "t1", "name": "Bash", "arguments": ARGUMENTS},
            {"type": "function_call_output", "call_id": "t1", "output": "a.py"},
        ],
    },
}
LIMITS = {"openai_chat": ("max_tokens", "max_completion_tokens"), "openai_responses": ("max_output_tokens",)}
PROGRESS = "Completed operations: 1 (Bash 1)\nLatest:\n- Bash: cd /srv/app && ls\nWorking directory: /srv/app\nCurrent task: Fix it\n"
EDITS = Edits(
    policies=Policies(
        replacements=(("Claude", "Pixie"),),
        append="Be terse.",
        inject_progress=True,
        temperature=0.5,
        max_tokens_cap=900,
        defaults={"seed": msgspec.Raw(b"7")},
        extensions={"provider": {"order": ["a"]}},
    ),
    guidance="GUIDANCE",
    correction="CORRECTION",
)
PAIRS = [(client, upstream) for client in REQUESTS for upstream in REQUESTS]


def prepared(client, upstream, edits=EDITS, *, stream=False, target=None, fields=None):
    dialect = REGISTRY[client]
    fields = REQUESTS[client] | (fields or {})
    if stream and client != "bedrock":
        fields["stream"] = True
    envelope = dialect.open_request(json.dumps(fields).encode())
    if client == "bedrock":
        envelope = msgspec.structs.replace(envelope, model="m", stream=stream)
    where = {"model": "r", "dialect": upstream, "upstream": "u1", "stream": stream and not edits.whole} | (target or {})
    destination = EncodeTarget(**where)
    return Preparer(dialect, envelope, SEAL_KEY).prepare(REGISTRY[upstream], destination, edits)


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_upstream_reads_the_edited_prompt(client, upstream):
    body = json.loads(prepared(client, upstream).body)
    request = REGISTRY[upstream].decode_request(
        REGISTRY[upstream].open_request(json.dumps(body if upstream == "bedrock" else {"model": "r", **body}).encode()), SEAL_KEY
    )
    assert "\n\n".join(text.text for text in request.system) == "You are Pixie.\n\nBe terse.\n\nGUIDANCE"
    last = [part for message in request.messages[2:] for part in message.parts]
    assert type(last[0]).__name__ == "ToolResult"
    words = "\n\n".join(part.text for part in last[1:])
    assert words == f"<session_progress>\n{PROGRESS}</session_progress>\n\nCORRECTION"
    assert (request.temperature, request.max_tokens) == (0.5, 900)
    assert [body[name] for name in LIMITS.get(upstream, ("max_tokens",)) if name in body] == [900]
    assert (body["seed"], body["provider"]) == (7, {"order": ["a"]})


SAMPLING = Edits(policies=Policies(temperature=0.2, defaults={"top_p": msgspec.Raw(b"0.9")}, extensions={"top_k": 5}))
NEWER_API = {"version": "2026-10-21"}
NEWER_CLAUDE = {"model": "claude-opus-4-7"}
BEDROCK_OF_NEWER_SDKS = {"anthropic_version": "2026-10-21"}


@pytest.mark.parametrize(
    ("client", "upstream", "target", "fields", "sampling"),
    [
        ("anthropic", "anthropic", {}, {}, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("anthropic", "anthropic", {"version": "2023-06-01"}, {}, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("anthropic", "anthropic", NEWER_API, {}, {}),
        ("anthropic", "anthropic", NEWER_API, {"temperature": 0.7}, {"temperature": 0.7}),
        ("anthropic", "anthropic", NEWER_API | {"quirks": Quirks(no_sampling=False)}, {}, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("anthropic", "anthropic", NEWER_CLAUDE, {}, {}),
        ("anthropic", "bedrock", NEWER_CLAUDE, {}, {}),
        ("anthropic", "bedrock", {}, BEDROCK_OF_NEWER_SDKS, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("bedrock", "bedrock", {}, {}, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("bedrock", "bedrock", {}, BEDROCK_OF_NEWER_SDKS, {}),
        ("bedrock", "bedrock", NEWER_CLAUDE, {}, {}),
        ("bedrock", "anthropic", {"version": "2023-06-01"}, BEDROCK_OF_NEWER_SDKS, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("openai_chat", "anthropic", NEWER_API, {"temperature": 0.7}, {}),
        ("openai_chat", "anthropic", NEWER_CLAUDE, {}, {}),
        ("openai_responses", "anthropic", NEWER_API, {"top_p": 0.5}, {}),
        ("anthropic", "openai_chat", NEWER_CLAUDE, {}, {"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ("openai_chat", "openai_chat", {"quirks": Quirks(no_sampling=True)}, {}, {}),
    ],
)
def test_policies_add_no_sampling_that_the_api_or_the_model_refuses(client, upstream, target, fields, sampling):
    """The client's own fields are sent as they are within one dialect, and left out in a translation."""
    body = json.loads(prepared(client, upstream, SAMPLING, target=target, fields=fields).body)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sampling


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_upstream_gets_the_same_bytes_every_time(client, upstream):
    assert prepared(client, upstream).body == prepared(client, upstream).body


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_an_answer_that_is_checked_is_asked_for_in_one_piece(client, upstream):
    whole = Edits(guidance="GUIDANCE", whole=True)
    checked = prepared(client, upstream, whole, stream=True)
    assert (checked.stream, json.loads(checked.body).get("stream", False), checked.relayed) == (False, False, client == upstream)
    assert "GUIDANCE" in checked.body.decode()


@pytest.mark.parametrize("dialect", REQUESTS)
def test_a_mended_history_is_translated_within_one_dialect_too(dialect):
    fields = dict(REQUESTS[dialect])
    turns = "input" if dialect == "openai_responses" else "messages"
    fields[turns] = fields[turns][:-1]
    preparer = Preparer(REGISTRY[dialect], REGISTRY[dialect].open_request(json.dumps(fields).encode()), SEAL_KEY)
    destination = EncodeTarget(model="m", dialect=dialect, upstream="u1")
    before = preparer.prepare(REGISTRY[dialect], destination)
    assert (before.relayed, "(no result)" in before.body.decode()) == (True, False)
    assert (preparer.repair_history(), preparer.repair_history()) == (True, False)
    after = preparer.prepare(REGISTRY[dialect], destination)
    assert (after.relayed, after.body.decode().count("(no result)")) == (False, 1)


def test_a_history_without_gaps_is_not_mended():
    preparer = Preparer(REGISTRY["anthropic"], REGISTRY["anthropic"].open_request(json.dumps(REQUESTS["anthropic"]).encode()), SEAL_KEY)
    assert preparer.repair_history() is False
