"""What the real generateContent API answers with 400 (wire formats, sections 16.2 to 16.4); the names are those of ``google.genai.types``.

``check_request(body)`` fails with a sentence for a request that a strict server would refuse.
"""

from __future__ import annotations

import base64
import re
from typing import Any

FIELDS = {
    "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent", "labels", "serviceTier",
    "store", "continuationToken",
}  # fmt: skip
CONFIG_FIELDS = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs", "logprobs", "presencePenalty",
    "frequencyPenalty", "seed", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "mediaResolution",
    "speechConfig", "thinkingConfig", "imageConfig",
}  # fmt: skip
DATA = {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"}
PART_FIELDS = DATA | {"thought", "thoughtSignature", "mediaResolution", "videoMetadata"}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")


def check_request(body: dict[str, Any]) -> None:
    """Check a whole request body."""
    assert set(body) <= FIELDS, f"foreign fields: {set(body) - FIELDS}"
    config = body.get("generationConfig", {})
    assert set(config) <= CONFIG_FIELDS, f"foreign settings: {set(config) - CONFIG_FIELDS}"
    assert len(config.get("stopSequences", ())) <= 5, "more than five stop sequences"
    assert 0 <= config.get("temperature", 1) <= 2, "temperature out of range"
    assert not {"responseSchema", "responseJsonSchema"} <= set(config), "two schemas"
    assert not {"thinkingBudget", "thinkingLevel"} <= set(config.get("thinkingConfig", {})), "a budget and a level"
    if "systemInstruction" in body:
        assert all(set(part) == {"text"} and part["text"] for part in body["systemInstruction"]["parts"]), "an instruction that is no text"
    names = _check_tools(body.get("tools", []))
    allowed = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("allowedFunctionNames", [])
    assert set(allowed) <= names, "an allowed function is not declared"
    check_contents(body["contents"])


def _check_tools(tools: list[dict[str, Any]]) -> set[str]:
    declarations = [declaration for tool in tools for declaration in tool.get("functionDeclarations", [])]
    for declaration in declarations:
        assert NAME.fullmatch(declaration["name"]), f"illegal function name {declaration['name']}"
        assert not {"parameters", "parametersJsonSchema"} <= set(declaration), "two schemas of a function"
    names = {declaration["name"] for declaration in declarations}
    assert len(names) == len(declarations), "a function twice"
    return names


def check_contents(contents: list[dict[str, Any]]) -> None:
    """Check the turns: their roles alternate, each call is answered in the next turn, results come first."""
    assert contents, "no contents"
    assert contents[0]["role"] == "user", "the first turn is the model's"
    open_calls: list[tuple[Any, str]] = []
    role = ""
    for content in contents:
        assert set(content) == {"role", "parts"}, "foreign fields in a content"
        assert content["role"] in ("user", "model"), f"the role {content['role']}"
        assert content["role"] != role, "two turns of one role"
        role = content["role"]
        assert content["parts"], "a content without parts"
        for part in content["parts"]:
            _check_part(part)
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        assert sorted((result.get("id"), result["name"]) for result in results) == sorted(open_calls), "calls and results do not match"
        leading = [("functionResponse" in part) for part in content["parts"]]
        assert leading == sorted(leading, reverse=True), "something stands before a result"
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        assert not calls or role == "model", "the user calls"
        open_calls = [(call.get("id"), call["name"]) for call in calls]
    assert not open_calls, "calls without results at the end"


def _check_part(part: dict[str, Any]) -> None:
    assert set(part) <= PART_FIELDS, f"foreign fields: {set(part) - PART_FIELDS}"
    assert len(DATA & set(part)) == 1, f"a part needs one kind of data: {set(part)}"
    assert part.get("text", "text") or "thoughtSignature" in part, "an empty text"
    if "inlineData" in part:
        assert part["inlineData"]["mimeType"], "media without a type"
        base64.b64decode(part["inlineData"]["data"], validate=True)
    if "functionCall" in part:
        assert isinstance(part["functionCall"]["args"], dict), "arguments that are no object"
    if "functionResponse" in part:
        result = part["functionResponse"]
        assert set(result) <= {"id", "name", "response", "parts"}, "foreign fields in a result"
        assert isinstance(result["response"], dict), "a response that is no object"
        assert all(set(inner) == {"inlineData"} for inner in result.get("parts", [])), "something else than media in a result"
