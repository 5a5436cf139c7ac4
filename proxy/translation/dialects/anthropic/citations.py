"""Citations of text blocks to canonical citations (docs/wire-formats.md, section 1.3)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Citation
from proxy.translation.dialects.anthropic.wire import FAMILY, is_present


class _CitationFields(msgspec.Struct):
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str | None = None


_CITATIONS = msgspec.json.Decoder(list[Raw])
_CITATION = msgspec.json.Decoder(_CitationFields)


def decode_citations(raw: Raw, *, at: str = "") -> tuple[Citation, ...]:
    """The citations of a text block. Raises :class:`ClientMistake`."""
    if not is_present(raw):
        return ()
    return tuple(decode_citation(native, at=at) for native in json_wire.decode(raw, _CITATIONS, at=at))


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
