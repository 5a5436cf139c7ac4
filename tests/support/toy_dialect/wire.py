"""The toy's wire.

``POST /toy/v2/say`` and, streamed, ``/toy/v2/say/live``: ``{"model", "setup", "lines": [{"who": "person" | "machine", "text"}], "limit"}``,
answered with ``{"kind": "saying", "of", "text", "spent": {"in", "out"}}`` or the events ``bit``, ``end`` and ``oops``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import (
    Event,
    Failed,
    Finished,
    Message,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    Response,
    Started,
    Text,
    Usage,
    UsageReported,
)
from proxy.translation.canonical import Finish as CanonicalFinish
from proxy.translation.dialects.base import EncodeContext, EncodeTarget, ErrorBody, error_object
from proxy.translation.dialects.client_api import ModelInfo
from proxy.translation.dialects.upstream_api import ListedModel, ListedPage
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed, kind_for
from proxy.translation.framing.sse import Frame
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

SAY, LIVE, WEIGH, NAMES = "/toy/v2/say", "/toy/v2/say/live", "/toy/v2/weigh", "/toy/v2/names"
FAMILY = "toy"


class Line(msgspec.Struct):
    who: Literal["person", "machine"]
    text: str


class Saying(msgspec.Struct, omit_defaults=True):
    lines: list[Line]
    model: str = ""
    setup: str = ""
    limit: int | None = None


class Spent(msgspec.Struct, frozen=True):
    went_in: int = msgspec.field(default=0, name="in")
    out: int = 0

    def usage(self) -> Usage:
        return Usage(fresh=self.went_in, output=self.out)


class ToyResponse(msgspec.Struct):
    text: str
    spent: Spent
    of: str = ""
    kind: str = ""


class Bit(msgspec.Struct):
    bit: str = ""
    spent: Spent = Spent()
    text: str = ""


_saying = msgspec.json.Decoder(Saying)
_response_decoder = msgspec.json.Decoder(ToyResponse)
_bit = msgspec.json.Decoder(Bit)
_text = msgspec.json.Decoder(str)


def path(target: EncodeTarget) -> str:
    return LIVE if target.stream else SAY


def open_request(body: bytes) -> Envelope:
    fields = open_object(body)
    if "model" not in fields:
        raise ClientMistake("model: the toy wants a name", param="model")
    return Envelope(fields, json_wire.decode(fields["model"], _text, at="model"))


def open_live(body: bytes, captured: Mapping[str, str]) -> Envelope:
    return msgspec.structs.replace(open_request(body), stream=True)


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    saying = json_wire.decode(json_wire.encode(envelope.fields), _saying)
    return Request(
        model=envelope.model,
        messages=tuple(Message("user" if line.who == "person" else "assistant", (Text(line.text),)) for line in saying.lines),
        family=FAMILY,
        system=(Text(saying.setup),) if saying.setup else (),
        max_tokens=saying.limit,
        stream=envelope.stream,
    )


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    lines = [
        Line("machine" if message.role == "assistant" else "person", "".join(part.text for part in message.parts if isinstance(part, Text)))
        for message in request.messages
    ]
    setup = "\n".join(text.text for text in request.system)
    return dict(msgspec.to_builtins(Saying(lines, target.model, setup, request.max_tokens)))


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:
    return json_wire.encode(envelope.fields | {"model": target.model})


def decode_response(body: bytes, quirks: Quirks) -> Response:
    try:
        response = _response_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise UpstreamFailed(Failure(kind="bad_gateway", message=f"The toy is broken: {error}"), answered=True) from error
    return Response(id="", model=response.of, parts=(Text(response.text),), finish=CanonicalFinish(), usage=response.spent.usage())


def _spent(usage: Usage | None) -> dict[str, int]:
    return {"in": usage.fresh, "out": usage.output} if usage else {"in": 0, "out": 0}


def encode_response(response: Response, context: EncodeContext) -> bytes:
    text = "".join(part.text for part in response.parts if isinstance(part, Text))
    return json_wire.encode({"kind": "saying", "of": context.model, "text": text, "spent": _spent(response.usage)})


def patch_response(body: bytes, model: str) -> bytes:
    return json_wire.encode(open_object(body) | {"of": model})


class Decoder:
    def __init__(self, quirks: Quirks) -> None:
        self.is_begun = self.is_over = False

    def feed(self, frame: Frame) -> list[Event]:
        if self.is_over:
            return []
        value = _bit.decode(frame.data)
        if frame.event == "bit":
            begin: list[Event] = [] if self.is_begun else [Started(), PartStarted(0, Text(""))]
            self.is_begun = True
            return [*begin, PartDelta(0, value.bit)]
        self.is_over = True
        if frame.event == "oops":
            return [Failed(Failure(kind="upstream_error", message=value.text))]
        ending: list[Event] = [PartEnded(0)] if self.is_begun else [Started()]
        return [*ending, UsageReported(value.spent.usage()), Finished()]

    def close(self) -> list[Event]:
        return [] if self.is_over else [Failed(Failure(kind="network", message="The toy stopped in the middle"))]


class Encoder:
    def __init__(self, context: EncodeContext) -> None:
        self.usage: Usage | None = None

    def feed(self, event: Event) -> list[Frame]:
        if isinstance(event, PartDelta):
            return [Frame(json_wire.encode({"bit": event.text}), "bit")]
        if isinstance(event, Started | UsageReported) and event.usage is not None:
            self.usage = event.usage
        if isinstance(event, Finished):
            return [Frame(json_wire.encode({"spent": _spent(self.usage)}), "end")]
        return oops(event.failure, 0) if isinstance(event, Failed) else []


def relay(model: str | None, hide_usage: bool) -> Any:
    return lambda frame: frame


def oops(failure: Failure, frames_sent: int) -> list[Frame]:
    return [Frame(json_wire.encode({"oops": failure.kind, "text": failure.message}), "oops")]


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    value = error_object(body)
    message = value.get("text", "") if isinstance(value, dict) else ""
    return Failure(kind=kind_for(status, message), message=message or f"The toy said {status}", status=status)


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    body = json_wire.encode({"oops": failure.kind, "text": failure.message})
    return ErrorBody(failure.http_status, body, {"x-toy-id": request_id, **failure.headers})


def encode_count(tokens: int) -> bytes:
    return b'{"weight":%d}' % tokens


def decode_count(body: bytes) -> int | None:
    value = error_object(body)
    return value.get("weight") if isinstance(value, dict) else None


def probe(model: str, quirks: Quirks) -> dict[str, Any]:
    return {"model": model, "lines": [{"who": "person", "text": "hi"}], "limit": 1}


def is_saying(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == "saying"


def decode_names(value: Any) -> ListedPage | None:
    if not isinstance(value, dict) or "names" not in value:
        return None
    models = [ListedModel(name=name) for name in value["names"]]
    return ListedPage(models, f"from={value['more']}" if "more" in value else None)


def encode_name(model: ModelInfo) -> dict[str, Any]:
    return {"name": model.name}


def encode_names(models: Sequence[ModelInfo], query: Mapping[str, str]) -> dict[str, Any]:
    return {"names": [model.name for model in models]}
