"""`manage.py translate`: translates a request or a response from standard input into another dialect."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from msgspec import ValidationError
from msgspec import json as msgspec_json

from proxy.exchange.prepare import Preparer
from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import Dialect, EncodeContext, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, UpstreamFailed
from proxy.translation.quirks import Quirks, merged

_SEAL_KEY = b"manage.py translate"
_REPLY_ID = "0" * 24


class Command(BaseCommand):
    """For debugging: the translation alone, without a database and without settings."""

    help = (
        "Translate a client's request (--from) into an upstream's (--to). With --reply or --stream: translate an upstream's whole or "
        "streamed response (--from) into a client's (--to). Reads standard input, writes standard output."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The two dialects, what to translate, and the settings of the upstream."""
        parser.add_argument("--from", dest="source", choices=sorted(REGISTRY), required=True)
        parser.add_argument("--to", dest="target", choices=sorted(REGISTRY), required=True)
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--reply", action="store_true", help="translate a whole response")
        kind.add_argument("--stream", action="store_true", help="translate a streamed response")
        parser.add_argument(
            "--model", default="model", help="the remote name of the model for a request, the client's name of it for a response"
        )
        parser.add_argument("--quirks", default="{}", help="the upstream's quirks, as JSON")

    def handle(self, *, source: str, target: str, model: str, quirks: str, **options: Any) -> None:
        """Translate; raises a :class:`CommandError` with one line that names the error and its field."""
        translate = _translate_stream if options["stream"] else _translate_response if options["reply"] else _translate_request
        try:
            upstream_quirks = merged(msgspec_json.decode(quirks, type=dict[str, Any]))
        except (ValidationError, ValueError) as error:
            raise CommandError(f"--quirks: {error}") from None
        try:
            output = translate(sys.stdin.buffer.read(), REGISTRY[source], REGISTRY[target], model, upstream_quirks)
        except (ClientMistake, UpstreamFailed) as error:
            raise CommandError(error.failure.message) from None
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()


def _translate_request(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    envelope = source.open_for_model(body, model)
    destination = EncodeTarget(model=model, dialect=target.name, quirks=quirks, stream=envelope.stream)
    return Preparer(source, envelope, _SEAL_KEY).prepare(target, destination).body + b"\n"


def _translate_response(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    return target.encode_response(source.decode_response(body, quirks), _encode_context(target, model)) + b"\n"


def _translate_stream(body: bytes, source: Dialect, target: Dialect, model: str, quirks: Quirks) -> bytes:
    pipeline = StreamPipeline(source, target, quirks=quirks, context=_encode_context(target, model), restorer=None)
    return pipeline.feed(body) + pipeline.close()


def _encode_context(target: Dialect, model: str) -> EncodeContext:
    request = Request(model=model, messages=(), family=target.family, stream=True, include_usage=True)
    return EncodeContext(id=_REPLY_ID, created=0, model=model, request=request, seal_key=_SEAL_KEY)
