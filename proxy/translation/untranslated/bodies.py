"""Requests that are not translated: what they ask for, and their bodies with another model's name. All other bytes stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated.multipart import FORM, Form

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')
_MOST_LOOKS = 16
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME = msgspec.json.Decoder(str)
_FLAG = msgspec.json.Decoder(bool | None)


class Asked(msgspec.Struct, frozen=True):
    """A request's envelope, and its body for an upstream's name of the model."""

    envelope: Envelope
    renamed: Callable[[str], bytes]


def asked_json(body: bytes, *, default: str = "") -> Asked:
    """A JSON object. ``default``: the model that is meant where the body names none; without one that is a mistake."""
    fields = json_wire.open_object(body)
    stream = bool(json_wire.decode(fields["stream"], _FLAG, at="stream")) if "stream" in fields else False
    given = json_wire.decode(fields["model"], _NAME, at="model") if "model" in fields else default
    if not given:
        raise ClientMistake("model: the field is required", param="model")

    def renamed(model: str) -> bytes:
        if "model" in fields:
            return json_renamed(body, fields, model)
        return body if model == default else msgspec.json.encode({**fields, "model": model})

    return Asked(Envelope(fields, given, stream), renamed)


def asked_form(body: bytes, headers: Mapping[str, str], *, file: str) -> Asked:
    """A form with a model and a file under the name ``file``."""
    form = Form(body, headers.get("content-type", ""))
    model = form.text("model")
    if not model:
        raise ClientMistake("model: the field is required", param="model")
    if not form.has_file(file):
        raise ClientMistake(f"{file}: a file is required", param=file)
    return Asked(Envelope({}, model, form.text("stream") in ("true", "True", "1")), form.renamed)


def asked_anything(body: bytes, headers: Mapping[str, str], *, default: str) -> Asked:
    """Whatever goes through the plain proxy: the model that JSON or a form names, else ``default`` and the body as it is."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    as_it_is = Asked(Envelope({}, default), lambda _model: body)
    if not body or "content-encoding" in headers:
        return as_it_is
    try:
        if kind == FORM:
            form = Form(body, headers["content-type"])
            model = form.text("model")
            return Asked(Envelope({}, model), form.renamed) if model else as_it_is
        fields = _FIELDS.decode(body)
        given = _NAME.decode(fields["model"])
    except (ClientMistake, msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return as_it_is
    is_stream = bytes(fields.get("stream", b"")) == b"true"
    return Asked(Envelope(fields, given, is_stream), lambda model: json_renamed(body, fields, model))


def json_renamed(body: bytes, fields: Mapping[str, msgspec.Raw], model: str) -> bytes:
    """A JSON object's bytes with another ``model``; nothing else changes, not even white space. ``fields``: the body, opened."""
    wanted = msgspec.json.encode(model)
    if bytes(fields["model"]) == wanted:
        return body
    expected = {**fields, "model": msgspec.Raw(wanted)}
    for _, match in zip(range(_MOST_LOOKS), _MODEL.finditer(body), strict=False):
        renamed = body[: match.start(1)] + wanted + body[match.end(1) :]
        if _FIELDS.decode(renamed) == expected:
            return renamed
    return msgspec.json.encode(expected)
