"""The envelope of a request: its top-level fields, with the model and ``stream`` from the path (docs/wire-formats.md, section 17.1)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.bedrock_converse.wire import ABSENT, OBJECT, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope

_HEADS = msgspec.json.Decoder(list[dict[str, Raw]])
_OBJECTS = ("inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig", "guardrailConfig")


def open_request(body: bytes) -> Envelope:
    """An envelope with an empty model name, which the path has.

    Raises :class:`~proxy.translation.errors.ClientMistake` with the path of the first invalid field.
    """
    return _opened(open_object(body), model="", stream=False)


def open_whole(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``Converse``; ``captured``: the model in the path."""
    return _opened(open_object(body), model=captured["model"], stream=False)


def open_streamed(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``ConverseStream``."""
    return _opened(open_object(body), model=captured["model"], stream=True)


def open_count(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``CountTokens`` with a ``converse`` input. That of InvokeModel is a body of another API, whose form nothing names."""
    fields = open_object(body)
    request_input = json_wire.decode(fields["input"], OBJECT, at="input") if is_present(fields.get("input", ABSENT)) else {}
    if is_present(request_input.get("invokeModel", ABSENT)):
        raise ClientMistake("input.invokeModel: only input.converse is counted here", param="input.invokeModel")
    if not is_present(request_input.get("converse", ABSENT)):
        raise ClientMistake("input.converse: Field required", param="input.converse")
    converse = json_wire.decode(request_input["converse"], OBJECT, at="input.converse")
    return _opened(converse, model=captured["model"], stream=False)


def _opened(fields: dict[str, Raw], *, model: str, stream: bool) -> Envelope:
    for name in ("model", "modelId"):
        if name in fields:
            raise ClientMistake(f"{name}: the field is not part of this API; the path names the model", param=name)
    if not is_present(fields.get("messages", ABSENT)):
        raise ClientMistake("messages: Field required", param="messages")
    if not json_wire.decode(fields["messages"], _HEADS, at="messages"):
        raise ClientMistake("messages: at least one message is required", param="messages")
    for name in _OBJECTS:
        if is_present(fields.get(name, ABSENT)):
            json_wire.decode(fields[name], OBJECT, at=name)
    return Envelope(fields, model, stream)
