"""What the client does not get of an upstream's response, as paths in the upstream's body, for the log row."""

from __future__ import annotations

from proxy.translation.canonical import Citation, Opaque, Part, Response, Text
from proxy.translation.dialects.base import Dialect


class DroppedResponse:
    """Collects the ``paths`` and ``types`` of what the client's dialect, ``sink``, has no form of, part by part."""

    def __init__(self, source: Dialect, sink: Dialect) -> None:
        self._source = source.places
        self._sink = sink
        self.paths: set[str] = set()
        self.types: set[str] = set()

    def note(self, response: Response) -> None:
        """Add what a whole response loses."""
        for part in response.parts:
            self.note_part(part)

    def note_part(self, part: Part) -> None:
        """Add a vendor's own part for a client of another family, and citations that the client's dialect does not have."""
        if isinstance(part, Opaque):
            if part.family != self._sink.family:
                self.paths.add(self._source.response_part)
                self.types.add(part.type)
        elif isinstance(part, Text):
            for citation in part.citations:
                self.note_citation(citation)

    def note_citation(self, citation: Citation) -> None:
        """Add a citation of another family without a URL; all dialects have a form of those with one."""
        if citation.dialect != self._sink.family and not citation.url:
            self.paths.add(self._source.response_citation)
