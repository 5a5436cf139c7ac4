"""The envelope of a request: its top-level fields, with the model and ``stream`` from the path (docs/wire-formats.md, section 16.1)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.gemini.wire import HEADS, OBJECT, camel_case, in_camel_case, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope

_STRING = msgspec.json.Decoder(str)
_RESOURCE = "models/"
_OBJECTS = ("generationConfig", "toolConfig")


def open_request(body: bytes) -> Envelope:
    """An envelope with an empty model name, which the path has. Top-level names are in camel case.

    Raises :class:`~proxy.translation.errors.ClientMistake` with the path of the first invalid field.
    """
    return _opened(open_object(body), model="", stream=False)


def open_whole(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``generateContent``; ``captured``: the model in the path."""
    return _opened(open_object(body), model=captured["model"], stream=False)


def open_streamed(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``streamGenerateContent``."""
    return _opened(open_object(body), model=captured["model"], stream=True)


def open_count(body: bytes, captured: Mapping[str, str]) -> Envelope:
    """A body of ``countTokens``: ``contents`` alone, or a whole request in ``generateContentRequest``."""
    fields = open_object(body)
    inner = next((raw for name, raw in fields.items() if camel_case(name) == "generateContentRequest" and is_present(raw)), None)
    if inner is not None:
        fields = json_wire.decode(inner, OBJECT, at="generateContentRequest")
    return _opened(fields, model=captured["model"], stream=False)


def _opened(fields: dict[str, Raw], *, model: str, stream: bool) -> Envelope:
    if any("_" in name for name in fields):
        fields = {camel_case(name): raw for name, raw in fields.items()}
    _check_model(fields, model)
    for name in _OBJECTS:
        if name in fields and is_present(fields[name]):
            fields[name] = in_camel_case(fields[name], at=name)
            json_wire.decode(fields[name], OBJECT, at=name)
    if not is_present(fields.get("contents", Raw(b""))):
        raise ClientMistake("contents: Field required", param="contents")
    if not json_wire.decode(fields["contents"], HEADS, at="contents"):
        raise ClientMistake("contents: at least one content is required", param="contents")
    return Envelope(fields, model, stream)


def _check_model(fields: dict[str, Raw], model: str) -> None:
    """Remove ``model`` from the fields. Raises :class:`ClientMistake` if it is not the one that the path names."""
    raw = fields.pop("model", None)
    if raw is None or not is_present(raw):
        return
    name = json_wire.decode(raw, _STRING, at="model")
    if model and name.removeprefix(_RESOURCE) != model.removeprefix(_RESOURCE):
        raise ClientMistake("model: the path names another model", param="model")
