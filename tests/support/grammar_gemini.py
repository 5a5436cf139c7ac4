"""The grammar of a client's generateContent stream and response (wire formats, section 16.5), by the names of ``google.genai.types``."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.support.rules_gemini import PART_FIELDS

CHUNK_FIELDS = {"candidates", "usageMetadata", "modelVersion", "responseId"}
CANDIDATE_FIELDS = {"content", "finishReason", "finishMessage", "index", "groundingMetadata"}
REASONS = {"STOP", "MAX_TOKENS", "SAFETY"}
COUNTS = {"promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"}
_STREAM = re.compile(rb"(?:data: [^\r\n]*\n\n)*")


def chunks_of(stream: bytes) -> list[Any]:
    """The chunks; every line is data, because the SDKs read comments as chunks."""
    assert _STREAM.fullmatch(stream), "something else than data lines"
    return [json.loads(event.removeprefix(b"data: ")) for event in stream.split(b"\n\n") if event]


def check(stream: bytes) -> None:
    """Check a whole stream: the last chunk alone has the finish reason and the usage."""
    chunks = chunks_of(stream)
    assert chunks, "an empty stream"
    for chunk in chunks[:-1]:
        _check_chunk(chunk)
        assert "finishReason" not in chunk["candidates"][0], "a finish reason before the end"
    check_answer(json.dumps(chunks[-1]).encode())


def check_broken(stream: bytes) -> None:
    """Check a stream that failed: an error is its last chunk, and it has no finish reason."""
    *chunks, last = chunks_of(stream)
    assert list(last) == ["error"], f"a broken stream ends in {set(last)}"
    assert {"code", "message", "status"} <= set(last["error"]), "an incomplete error"
    for chunk in chunks:
        _check_chunk(chunk)
        assert "finishReason" not in chunk["candidates"][0], "a broken stream has a finish reason"


def check_answer(body: bytes) -> None:
    """Check a whole response."""
    answer = json.loads(body)
    _check_chunk(answer)
    assert answer["candidates"][0]["finishReason"] in REASONS, "no finish reason"
    usage = answer["usageMetadata"]
    assert {"promptTokenCount", "candidatesTokenCount", "totalTokenCount"} <= set(usage) <= COUNTS, "other counters"
    parts = usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
    assert usage["totalTokenCount"] == parts, "the total is not the sum"


def _check_chunk(chunk: dict[str, Any]) -> None:
    assert set(chunk) <= CHUNK_FIELDS, f"foreign fields: {set(chunk) - CHUNK_FIELDS}"
    assert {"modelVersion", "responseId"} <= set(chunk), "a chunk without the model or the id"
    (candidate,) = chunk["candidates"]
    assert set(candidate) <= CANDIDATE_FIELDS, f"foreign fields: {set(candidate) - CANDIDATE_FIELDS}"
    assert candidate["content"]["role"] == "model", "the turn of another role"
    for part in candidate["content"]["parts"]:
        assert set(part) <= PART_FIELDS, f"foreign fields: {set(part) - PART_FIELDS}"
        base64.b64decode(part.get("thoughtSignature", ""), validate=True)
        if "functionCall" in part:
            assert part["functionCall"]["id"], "a call without an id"
            assert isinstance(part["functionCall"]["args"], dict), "arguments that are no object"
