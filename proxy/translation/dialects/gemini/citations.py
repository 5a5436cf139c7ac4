"""Citations: ``groundingMetadata`` of searches, and ``citationMetadata`` (docs/wire-formats.md, section 16.5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.translation import media
from proxy.translation.canonical import Citation


def decode_citations(grounding: Any, citations: Any) -> list[Citation]:
    """The citations of a candidate, one for each segment and page."""
    decoded = list(_of_grounding(grounding)) if isinstance(grounding, dict) else []
    entries = citations.get("citations") if isinstance(citations, dict) else None
    decoded += [
        Citation(url=_text(entry.get("uri")), title=_text(entry.get("title")))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and _text(entry.get("uri"))
    ]
    return list({(citation.url, citation.cited_text): citation for citation in decoded}.values())


def _of_grounding(grounding: dict[str, Any]) -> Iterable[Citation]:
    pages = [_page(chunk) for chunk in _list(grounding.get("groundingChunks"))]
    cited: set[int] = set()
    for support in _list(grounding.get("groundingSupports")):
        segment = support.get("segment") if isinstance(support, dict) else None
        text = _text(segment.get("text")) if isinstance(segment, dict) else ""
        for index in _list(support.get("groundingChunkIndices")) if isinstance(support, dict) else ():
            if isinstance(index, int) and 0 <= index < len(pages) and pages[index][0]:
                cited.add(index)
                yield Citation(url=pages[index][0], title=pages[index][1], cited_text=text)
    yield from (Citation(url=url, title=title) for index, (url, title) in enumerate(pages) if url and index not in cited)


def _page(chunk: Any) -> tuple[str, str]:
    """URL and title of a chunk; empty for one of another kind."""
    for name in ("web", "retrievedContext"):
        page = chunk.get(name) if isinstance(chunk, dict) else None
        if isinstance(page, dict):
            return _text(page.get("uri")), _text(page.get("title"))
    return "", ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def encode_citations(citations: Iterable[Citation]) -> dict[str, Any]:
    """``groundingMetadata`` with the pages of the citations; empty if none has a URL."""
    pages: dict[str, int] = {}
    chunks: list[Any] = []
    supports: list[Any] = []
    for citation in citations:
        if not media.is_web_url(citation.url):
            continue
        if citation.url not in pages:
            pages[citation.url] = len(chunks)
            chunks.append({"web": {"uri": citation.url, "title": citation.title}})
        if citation.cited_text:
            supports.append({"segment": {"text": citation.cited_text}, "groundingChunkIndices": [pages[citation.url]]})
    if not chunks:
        return {}
    return {"groundingMetadata": {"groundingChunks": chunks, **({"groundingSupports": supports} if supports else {})}}
