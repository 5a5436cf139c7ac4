"""What the real Converse API answers with 400 (wire formats, sections 17.2 to 17.5). The shapes are checked by botocore's own model.

``check_request(body)`` fails with a sentence for a request that a strict server would refuse.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import Shape, StructureShape
from botocore.validate import ParamValidator

VALIDATOR = ParamValidator()
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
DOCUMENT_NAME = re.compile(r"[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*")


@cache
def operation(name: str) -> Any:
    """An operation of the service model."""
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model(name)


def check_shape(value: Any, shape: Shape) -> None:
    """Check a value as it stands on the wire: no foreign fields, required ones there, and one field in a union."""
    if shape.type_name == "structure" and isinstance(shape, StructureShape):
        if shape.is_document_type:
            return
        assert isinstance(value, dict), f"{shape.name} is no object"
        assert set(value) <= set(shape.members), f"foreign fields in {shape.name}: {set(value) - set(shape.members)}"
        assert set(shape.required_members) <= set(value) | {"modelId"}, f"missing fields in {shape.name}"
        assert not shape.is_tagged_union or len(value) == 1, f"{shape.name} needs one field: {set(value)}"
        for name, inner in value.items():
            check_shape(inner, shape.members[name])
    elif shape.type_name == "list":
        for inner in value:
            check_shape(inner, shape.member)  # type: ignore[attr-defined]
    elif shape.type_name == "blob":
        base64.b64decode(value, validate=True)
    elif shape.type_name != "map":
        errors = VALIDATOR.validate(value, shape)
        assert not errors.has_errors(), errors.generate_report()


def check_request(body: dict[str, Any]) -> None:
    """Check a whole request body."""
    check_shape(body, operation("Converse").input_shape)
    assert all(block.get("text", "text").strip() for block in body.get("system", ())), "a blank system text"
    tools = [tool["toolSpec"] for tool in body.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool]
    names = {tool["name"] for tool in tools}
    assert all(NAME.fullmatch(name) for name in names), "an illegal tool name"
    assert all(tool["inputSchema"]["json"]["type"] == "object" for tool in tools), "a schema that is no object's"
    chosen = body.get("toolConfig", {}).get("toolChoice", {}).get("tool", {}).get("name")
    assert chosen is None or chosen in names, "the chosen tool is not there"
    points = [*body.get("system", ()), *body.get("toolConfig", {}).get("tools", ())]
    points += [block for message in body["messages"] for block in message["content"]]
    assert sum("cachePoint" in block for block in points) <= 4, "more than four cache points"
    check_messages(body["messages"], has_tools=bool(tools))


def check_messages(messages: list[dict[str, Any]], *, has_tools: bool) -> None:
    """Check the turns: their roles alternate, each call is answered in the next turn, results come first."""
    assert messages, "no messages"
    assert messages[0]["role"] == "user", "the first turn is the assistant's"
    open_ids: list[str] = []
    role = ""
    for message in messages:
        assert message["role"] != role, "two turns of one role"
        role = message["role"]
        content = message["content"]
        assert content, "a message without content"
        assert all(block.get("text", "text").strip() for block in content), "a blank text"
        for block in content:
            assert "document" not in block or DOCUMENT_NAME.fullmatch(block["document"]["name"]), "an illegal document name"
        assert not any("document" in block for block in content) or any("text" in block for block in content), "a document without text"
        results = [block["toolResult"]["toolUseId"] for block in content if "toolResult" in block]
        assert sorted(results) == sorted(open_ids), "calls and results do not match"
        leading = ["toolResult" in block for block in content if "cachePoint" not in block]
        assert leading == sorted(leading, reverse=True), "something stands before a result"
        open_ids = [block["toolUse"]["toolUseId"] for block in content if "toolUse" in block]
        assert not open_ids or role == "assistant", "the user calls"
        assert all(NAME.fullmatch(call_id) for call_id in open_ids), "an illegal id"
        assert has_tools or not (open_ids or results), "calls without toolConfig"
    assert not open_ids, "calls without results at the end"
