"""The strict grammar of a Chat Completions stream, as a client may rely on it (wire formats, section 2.5).

``check(stream, include_usage=…)`` takes the bytes of a whole stream of ours and returns its chunks; it fails with a sentence
that says what is wrong. A stream that broke off ends in an error chunk: :func:`check_broken`.
"""

from __future__ import annotations

import json
from typing import Any

from proxy.translation.framing.sse import Reader

FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def data_of(stream: bytes) -> list[bytes]:
    """The data of every event; chat writes nothing but ``data:`` lines and comments."""
    for line in stream.split(b"\n"):
        assert not line or line.startswith((b"data: ", b":")), f"a line that chat does not have: {line!r}"
    reader = Reader()
    return [frame.data for frame in reader.feed(stream)]


def check(stream: bytes, *, include_usage: bool) -> list[dict[str, Any]]:
    """Check a whole stream of ours, from the role to ``[DONE]``."""
    data = data_of(stream)
    assert data, "the stream is empty"
    assert data[-1] == b"[DONE]", f"the stream ends in {data[-1]!r}"
    assert data.count(b"[DONE]") == 1, "[DONE] comes once"
    chunks = [json.loads(line) for line in data[:-1]]
    _check_envelopes(chunks)
    if include_usage:
        usage = chunks.pop()
        assert usage["choices"] == [], "the usage chunk comes last"
        _check_usage(usage["usage"])
        assert all("usage" in chunk and chunk["usage"] is None for chunk in chunks), "every other chunk has usage null"
    else:
        assert not any("usage" in chunk for chunk in chunks), "nobody asked for usage"
    _check_choice(chunks)
    return chunks


def check_broken(stream: bytes) -> dict[str, Any]:
    """Check a stream of ours that broke off; returns its error object."""
    data = data_of(stream)
    assert b"[DONE]" not in data, "a broken stream pretends no end"
    *chunks, last = [json.loads(line) for line in data]
    _check_envelopes(chunks)
    assert set(last) == {"error"}, f"the last chunk is no error: {last}"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    for chunk in chunks:
        assert chunk["choices"][0]["finish_reason"] is None, "a broken stream has no finish"
    return dict(last["error"])


def _check_envelopes(chunks: list[dict[str, Any]]) -> None:
    for chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk"
        for key in ("id", "created", "model"):
            assert chunk[key] == chunks[0][key], f"{key} changes within the stream"
        assert chunk["id"].startswith("chatcmpl-")


def _check_usage(usage: dict[str, Any]) -> None:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]
    assert set(usage["completion_tokens_details"]) == {"reasoning_tokens"}


def _check_choice(chunks: list[dict[str, Any]]) -> None:
    choices = []
    for chunk in chunks:
        assert len(chunk["choices"]) == 1, "every chunk but the usage has its choice"
        choice = chunk["choices"][0]
        assert choice["index"] == 0
        choices.append(choice)
    assert choices[0]["delta"].get("role") == "assistant", "the role comes first"
    assert not any("role" in choice["delta"] for choice in choices[1:]), "the role comes once"
    *before, last = choices
    assert last["delta"] == {}, "the finish chunk says nothing else"
    assert last["finish_reason"] in FINISH_REASONS
    assert all(choice["finish_reason"] is None for choice in before), "the finish comes once, at the end"
    calls = _check_deltas([choice["delta"] for choice in before[1:]])
    assert (last["finish_reason"] in ("tool_calls", "function_call")) <= bool(calls), "tool_calls needs a call"


def _check_deltas(deltas: list[dict[str, Any]]) -> dict[int, str]:
    """The arguments of the calls, each of which must be there, whole and with its own id."""
    arguments: dict[int, str] = {}
    custom: set[int] = set()
    ids: set[str] = set()
    for delta in deltas:
        assert delta, "a delta says something"
        for key in ("content", "refusal", "reasoning_content"):
            assert key not in delta or (isinstance(delta[key], str) and delta[key]), f"an empty {key}"
        for call in delta.get("tool_calls", ()):
            index = call["index"]
            if index not in arguments:
                assert index == len(arguments), f"call {index} begins where {len(arguments)} was due"
                assert call["id"], "a call begins with its id"
                assert call["id"] not in ids, f"the id {call['id']} comes twice"
                assert call["type"] in ("function", "custom")
                assert call[call["type"]]["name"], "a call begins with its name"
                ids.add(call["id"])
                arguments[index] = ""
                if call["type"] == "custom":
                    custom.add(index)
            else:
                assert "id" not in call, "the id comes once"
                assert "name" not in call.get("function", {}), "the name comes once"
            arguments[index] += call["custom"]["input"] if index in custom else call["function"]["arguments"]
    for index, text in arguments.items():
        assert index in custom or text, f"call {index} has no arguments"
    return arguments
