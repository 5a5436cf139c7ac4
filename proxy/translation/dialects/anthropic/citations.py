"""Citations of text blocks, in both directions (docs/wire-formats.md, sections 1.3 and 8.1)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, media, reasoning_seal
from proxy.translation.canonical import Citation
from proxy.translation.dialects.anthropic.wire import FAMILY, is_present

FOREIGN_INDEX = reasoning_seal.PREFIX + "citation"
"""``encrypted_index`` of another vendor's citation, by which it is removed when the client returns it: the API refuses it."""


class _CitationFields(msgspec.Struct):
    encrypted_index: Any = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


_CITATIONS = msgspec.json.Decoder(list[Raw])
_CITATION = msgspec.json.Decoder(_CitationFields)


def decode_citations(raw: Raw, *, at: str = "") -> tuple[Citation, ...]:
    """The citations of a text block, without those of other vendors. Raises :class:`ClientMistake`."""
    if not is_present(raw):
        return ()
    return tuple(decode_citation(native, at=at) for native in own_citations(raw, at=at))


def own_citations(raw: Raw, *, at: str) -> list[Raw]:
    """The JSON of the citations that are not another vendor's. Raises :class:`ClientMistake`."""
    natives = json_wire.decode(raw, _CITATIONS, at=at)
    if FOREIGN_INDEX.encode() not in bytes(raw):
        return natives
    return [native for native in natives if json_wire.decode(native, _CITATION, at=at).encrypted_index != FOREIGN_INDEX]


def encode_citation(citation: Citation) -> Any:
    """A citation of this family as received; one of another vendor as that of a web search result; ``None`` without the URL of a page."""
    if citation.dialect == FAMILY:
        return citation.native
    if not media.is_web_url(citation.url):
        return None
    return {
        "type": "web_search_result_location",
        "cited_text": citation.cited_text,
        "encrypted_index": FOREIGN_INDEX,
        "title": citation.title or None,
        "url": citation.url,
    }


def decode_citation(native: Raw, *, at: str = "") -> Citation:
    """One citation of any type: ``char_location``, ``web_search_result_location``, … Raises :class:`ClientMistake`."""
    fields = json_wire.decode(native, _CITATION, at=at)
    return Citation(
        url=fields.url or fields.source or "",
        title=fields.title or fields.document_title or "",
        cited_text=fields.cited_text or "",
        dialect=FAMILY,
        native=native,
    )
