"""Citations of text, in both directions (``Citation`` and ``CitationLocation`` of the API)."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from proxy.translation import json_wire, media
from proxy.translation.canonical import Citation
from proxy.translation.dialects.bedrock_converse.wire import FAMILY


def decode_citation(value: dict[str, Any]) -> Citation:
    """One citation."""
    location = value.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    source = value.get("source")
    url = web.get("url") if isinstance(web, dict) else source if isinstance(source, str) and media.is_web_url(source) else ""
    quoted = value.get("sourceContent")
    entries = [entry for entry in quoted if isinstance(entry, dict)] if isinstance(quoted, list) else []
    texts = [entry["text"] for entry in entries if isinstance(entry.get("text"), str)]
    title = value.get("title")
    return Citation(
        url=url if isinstance(url, str) else "",
        title=title if isinstance(title, str) else "",
        cited_text="".join(texts),
        dialect=FAMILY,
        native=Raw(json_wire.encode(value)),
    )


def encode_citation(citation: Citation) -> Any:
    """A citation of this family as received; one of another as that of a page; ``None`` without the URL of a page."""
    if citation.dialect == FAMILY:
        return citation.native
    if not media.is_web_url(citation.url):
        return None
    return {
        "title": citation.title,
        "source": citation.url,
        **({"sourceContent": [{"text": citation.cited_text}]} if citation.cited_text else {}),
        "location": {"web": {"url": citation.url}},
    }
