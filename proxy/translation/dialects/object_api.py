"""Objects that a provider keeps under an id (glossary: remote object): which ones a request names, and which ones a response made.

They exist only at the upstream, and for the credential, that made them. Dialects whose providers keep objects have an
:class:`ObjectApi`; all of its functions only read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from proxy.translation.canonical import Finish, Opaque, Response

_STRING_DECODER = msgspec.json.Decoder(str)
_OBJECT_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ID = re.compile(r"[!-~]{1,200}")
FILE_IDS = re.compile(rb'"file_id"\s*:\s*"([^"\\]+)"')
"""A file that a content part names."""


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True):
    """An object that a request names. ``field``: the path of its field; ``noun``: what it is, for messages.

    ``code``, ``details``: what the dialect's error has if there is no such object.
    """

    field: str
    id: str
    noun: str
    code: str | None = None
    details: dict[str, Any] | None = None


class MadeObject(msgspec.Struct, frozen=True):
    """An object that a provider made.

    ``is_nested``: requests name it inside of their content or tools, as they do files. ``remote_id``: the provider's id, if the client
    got another one. ``is_unbilled``: a response that the provider is still working on, so that nobody knows its usage.
    """

    id: str
    is_nested: bool = False
    remote_id: str = ""
    is_unbilled: bool = False


class ObjectApi(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that providers of a dialect keep.

    references(fields):
        The objects that top-level fields of a request name. Costs a few look-ups where there are none.
    nested_references(fields):
        Those that content and tools name. Searches the whole request, which is why it is called only while a gateway knows of any.
    keeps_response(fields):
        Whether the provider keeps the response to this request under the response's id.
    runs_later(fields):
        Whether the response to this request may come before the model has worked: the client fetches the result by its id.
    own_id(identity):
        The id that the gateway gives to a response that it encodes itself; ``identity``: :attr:`EncodeContext.id`.
    made_in(finish, natives):
        The objects that a response has made or used besides itself. ``natives``: the JSON of its items or blocks without a
        canonical form.
    """

    references: Callable[[Mapping[str, msgspec.Raw]], list[ObjectReference]]
    nested_references: Callable[[Mapping[str, msgspec.Raw]], list[ObjectReference]]
    keeps_response: Callable[[Mapping[str, msgspec.Raw]], bool]
    runs_later: Callable[[Mapping[str, msgspec.Raw]], bool] = lambda _fields: False
    own_id: Callable[[str], str]
    made_in: Callable[[Finish, Iterable[bytes]], list[MadeObject]]

    def made_by(self, response: Response) -> list[MadeObject]:
        """What a whole response has made or used besides itself."""
        return self.made_in(response.finish, [bytes(part.native) for part in response.parts if isinstance(part, Opaque)])

    def kept_response(
        self, fields: Mapping[str, msgspec.Raw], client_id: str, remote_id: str, *, is_unbilled: bool = False
    ) -> Sequence[MadeObject]:
        """The response to a request itself, if the provider keeps it. ``client_id``: the id that the client gets."""
        if not self.keeps_response(fields) or not is_id(remote_id):
            return ()
        return (MadeObject(client_id, remote_id="" if client_id == remote_id else remote_id, is_unbilled=is_unbilled),)


def is_id(text: str) -> bool:
    """Whether a text can be the id of an object: 1 to 200 visible ASCII characters."""
    return _ID.fullmatch(text) is not None


def id_in(raw: msgspec.Raw | None, *, member: str = "id") -> str:
    """The id in a field that is either the id or an object with it; empty if the field has none, or is malformed."""
    if raw is None or raw == b"null":
        return ""
    try:
        text = _STRING_DECODER.decode(raw if bytes(raw).startswith(b'"') else _OBJECT_DECODER.decode(raw)[member])
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the dialect or the upstream refuses it
        return ""
    return text if is_id(text) else ""


def ids_by_pattern(raw: msgspec.Raw | bytes | None, pattern: re.Pattern[bytes]) -> list[str]:
    """The different ids that the first group of ``pattern`` matches, in the order in which they occur."""
    matches = [] if raw is None else pattern.findall(bytes(raw))
    return [text for text in dict.fromkeys(match.decode("utf-8", "replace") for match in matches) if is_id(text)]


def files_in(fields: Mapping[str, msgspec.Raw], field: str) -> list[ObjectReference]:
    """The files that the content in a field names."""
    return [ObjectReference(field=field, id=file_id, noun="File") for file_id in ids_by_pattern(fields.get(field), FILE_IDS)]
