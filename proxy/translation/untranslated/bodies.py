"""Requests that are not translated: model and stream flag are read, and the model is replaced. All other bytes stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

import msgspec

from proxy.translation import json_object, json_wire
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated.multipart import FORM, Form, names_model

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
MAX_CANDIDATES = 4
"""How many places of a body are tried where its model may be; each costs a copy and a decode of the body."""
URLENCODED = "application/x-www-form-urlencoded"
_SEPARATOR = re.compile("[&;]")
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_MAY_NAME_MODEL = re.compile(rb"(?i)model|\\u")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME = msgspec.json.Decoder(str)
_FLAG = msgspec.json.Decoder(bool | None)


class UntranslatedRequest(msgspec.Struct, frozen=True):
    """The envelope of a request, and a function from the upstream's model name to the body."""

    envelope: Envelope
    with_model: Callable[[str], bytes]


def open_json(body: bytes, *, default: str = "") -> UntranslatedRequest:
    """Open a JSON object. ``default``: the model of a body without one; without a default such a body is refused."""
    opened = json_object.open_body(body)
    fields = opened.fields
    stream = bool(json_wire.decode(fields["stream"], _FLAG, at="stream")) if "stream" in fields else False
    named_model = json_wire.decode(fields["model"], _NAME, at="model") if "model" in fields else default
    if not named_model:
        raise ClientMistake("model: the field is required", param="model")

    def with_model(model: str) -> bytes:
        if opened.repeats:
            return json_wire.encode({**fields, "model": model})
        if "model" in fields:
            return with_json_model(opened.body, fields, model)
        return opened.body if model == default else json_wire.encode({**fields, "model": model})

    return UntranslatedRequest(Envelope(fields, named_model, stream), with_model)


def open_form(body: bytes, headers: Mapping[str, str], *, file: str) -> UntranslatedRequest:
    """Open a form with a model and a file in the field ``file``."""
    form = Form(body, headers.get("content-type", ""))
    model = form.text("model")
    if not model:
        raise ClientMistake("model: the field is required", param="model")
    if not form.has_file(file):
        raise ClientMistake(f"{file}: a file is required", param=file)
    return UntranslatedRequest(Envelope({}, model, form.text("stream") in ("true", "True", "1")), form.with_model)


def open_any(body: bytes, headers: Mapping[str, str], *, default: str) -> UntranslatedRequest:
    """Open a body of plain proxy mode: the model of a JSON object or a form, else ``default`` and the unchanged body.

    Raises :class:`ClientMistake` for a JSON object or a form in which another parser may read another model.
    """
    unchanged = UntranslatedRequest(Envelope({}, default), lambda _model: body)
    if not body or "content-encoding" in headers:
        return unchanged
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == FORM:
        form = Form(body, headers["content-type"])
        model = form.text("model")
        return UntranslatedRequest(Envelope({}, model), form.with_model) if model else unchanged
    if content_type.startswith(URLENCODED) and models_in_pairs(body.decode("latin-1")):
        raise ClientMistake("model: a form of this type may not name a model; send JSON or multipart/form-data", param="model")
    if json.detect_encoding(body) not in ("utf-8", "utf-8-sig") and _begins_as_json(body):
        raise ClientMistake("The request body is not valid UTF-8")
    if _OBJECT.match(body) is None:
        return unchanged
    return _open_plain_json(body, default)


def _begins_as_json(body: bytes) -> bool:
    """Whether a body in UTF-16 or UTF-32, which some servers read as JSON, begins like an object or an array."""
    return body[:256].decode(json.detect_encoding(body), "ignore").lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def _open_plain_json(body: bytes, default: str) -> UntranslatedRequest:
    """Open a body that begins like a JSON object. It may have other lines after the object, unless they may name a model."""
    try:
        opened = json_object.open_body(body)
    except ClientMistake:
        if _MAY_NAME_MODEL.search(body):
            raise
        return UntranslatedRequest(Envelope({}, default), lambda _model: body)
    fields = opened.fields
    if "model" not in fields or bytes(fields["model"]) == b"null":
        return UntranslatedRequest(Envelope({}, default), lambda _model: body)
    named_model = json_wire.decode(fields["model"], _NAME, at="model")
    is_stream = bytes(fields.get("stream", b"")) == b"true"

    def with_model(model: str) -> bytes:
        return json_wire.encode({**fields, "model": model}) if opened.repeats else with_json_model(opened.body, fields, model)

    return UntranslatedRequest(Envelope(fields, named_model, is_stream), with_model)


def models_in_pairs(text: str) -> list[str]:
    """The values of the ``model`` in a query or a form of type ``URLENCODED``, in any spelling that some parser takes for it."""
    pairs = (pair.partition("=") for pair in _SEPARATOR.split(text))
    return [unquote_plus(value) for name, _, value in pairs if names_model(unquote_plus(unquote_plus(name)))]


def with_json_model(body: bytes, fields: Mapping[str, msgspec.Raw], model: str) -> bytes:
    """The body with another ``model``; all other bytes stay, white space too. ``fields``: the top-level fields of the body."""
    encoded_model = msgspec.json.encode(model)
    if bytes(fields["model"]) == encoded_model:
        return body
    expected = {**fields, "model": msgspec.Raw(encoded_model)}
    for _, match in zip(range(MAX_CANDIDATES), _MODEL.finditer(body), strict=False):
        renamed = body[: match.start(1)] + encoded_model + body[match.end(1) :]
        if _FIELDS.decode(renamed) == expected:
            return renamed
    return json_wire.encode(expected)
