"""The objects that OpenAI keeps for Chat Completions: files (docs/wire-formats.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from proxy.translation.canonical import Finish
from proxy.translation.dialects.object_api import MadeObject, ObjectApi, ObjectReference, files_in


def _references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:  # noqa: ARG001  (files are named in messages only)
    return []


def _nested_references(fields: Mapping[str, msgspec.Raw]) -> list[ObjectReference]:
    return files_in(fields, "messages")


def _keeps_response(fields: Mapping[str, msgspec.Raw]) -> bool:  # noqa: ARG001  (the gateway has no paths for stored completions)
    return False


def _made_in(finish: Finish, natives: Iterable[bytes]) -> list[MadeObject]:  # noqa: ARG001  (a completion makes nothing)
    return []


OBJECTS = ObjectApi(
    references=_references,
    nested_references=_nested_references,
    keeps_response=_keeps_response,
    own_id=lambda identity: f"chatcmpl-{identity}",
    made_in=_made_in,
)
