"""`manage.py translate`: a request or an answer from one dialect to another, from standard input to standard output."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from msgspec import ValidationError
from msgspec import json as msgspec_json

from proxy.exchange.prepare import Preparer
from proxy.exchange.stream_pipeline import Pipe
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import Dialect, EncodeContext, EncodeTarget
from proxy.translation.dialects.bedrock.request_decode import opener
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, UpstreamFailed
from proxy.translation.quirks import Quirks, merged

_SEAL_KEY = b"manage.py translate"
_REPLY_ID = "0" * 24


class Command(BaseCommand):
    """No database and no configuration: only the translation itself, for debugging."""

    help = (
        "Translate a client's request (--from) into its upstream's (--to). With --reply or --stream: an upstream's whole or streamed "
        "answer (--from) into its client's (--to). Reads standard input, writes standard output."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The two dialects, the kind of thing to translate, and what the admin would know of the upstream."""
        parser.add_argument("--from", dest="source", choices=sorted(REGISTRY), required=True)
        parser.add_argument("--to", dest="target", choices=sorted(REGISTRY), required=True)
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--reply", action="store_true", help="translate a whole answer")
        kind.add_argument("--stream", action="store_true", help="translate a streamed answer")
        parser.add_argument("--model", default="model", help="the name of the model at the upstream, or for the client of an answer")
        parser.add_argument("--quirks", default="{}", help="the upstream's quirks, as JSON")

    def handle(self, *, source: str, target: str, model: str, quirks: str, **options: Any) -> None:
        """Translate; a :class:`CommandError` is one line that names what is wrong and where."""
        translate = _stream if options["stream"] else _answer if options["reply"] else _request
        try:
            known = merged(msgspec_json.decode(quirks, type=dict[str, Any]))
        except (ValidationError, ValueError) as error:
            raise CommandError(f"--quirks: {error}") from None
        try:
            told = translate(sys.stdin.buffer.read(), REGISTRY[source], REGISTRY[target], model, known)
        except (ClientMistake, UpstreamFailed) as error:
            raise CommandError(error.failure.message) from None
        sys.stdout.buffer.write(told)
        sys.stdout.buffer.flush()


def _request(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    envelope = opener(model, stream=False)(body) if source.name == "bedrock" else source.open_request(body)
    destination = EncodeTarget(model=model, dialect=target.name, quirks=quirks, stream=envelope.stream)
    return Preparer(source, envelope, _SEAL_KEY).prepare(target, destination).body + b"\n"


def _answer(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    return target.encode_response(source.decode_response(body, quirks), _reply(target, model)) + b"\n"


def _stream(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    pipe = Pipe(source, target, quirks=quirks, reply=_reply(target, model), restorer=None)
    return pipe.feed(body) + pipe.close()


def _reply(target: Dialect, model: str) -> EncodeContext:
    asked = Request(model=model, messages=(), family=target.family, stream=True, include_usage=True)
    return EncodeContext(id=_REPLY_ID, created=0, model=model, request=asked, seal_key=_SEAL_KEY)
