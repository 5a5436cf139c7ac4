"""What the client does not get of an upstream's response."""

from __future__ import annotations

import msgspec
import pytest

from proxy.translation.adaptation.dropped_response import DroppedResponse
from proxy.translation.canonical import Citation, Finish, Opaque, Part, Response, Text, ToolCall
from proxy.translation.dialects.registry import REGISTRY

SEARCH = Opaque("anthropic", "web_search_tool_result", msgspec.Raw(b"{}"), "T")
PAGE = Citation(cited_text="x", dialect="anthropic", native=msgspec.Raw(b"{}"))
WEB = Citation(url="https://e.test", dialect="anthropic", native=msgspec.Raw(b"{}"))


def dropped(upstream: str, client: str, *parts: Part) -> tuple[set[str], set[str]]:
    collector = DroppedResponse(REGISTRY[upstream], REGISTRY[client])
    collector.note(Response(id="r", model="m", parts=parts, finish=Finish()))
    return collector.paths, collector.types


@pytest.mark.parametrize(
    ("client", "paths", "types"),
    [
        ("anthropic", set(), set()),
        ("bedrock", set(), set()),
        ("openai_chat", {"content[]", "content[].citations[]"}, {"web_search_tool_result"}),
        ("openai_responses", {"content[]", "content[].citations[]"}, {"web_search_tool_result"}),
    ],
)
def test_a_response_of_claude_loses_searches_and_citations_of_documents(client: str, paths: set[str], types: set[str]) -> None:
    parts = (SEARCH, Text("a", citations=(PAGE, WEB)), ToolCall("c", "f", "{}"))
    assert dropped("anthropic", client, *parts) == (paths, types)


@pytest.mark.parametrize(
    ("upstream", "client", "paths"),
    [
        ("anthropic", "openai_chat", set()),
        ("openai_chat", "openai_responses", set()),
        ("openai_chat", "anthropic", {"choices[].message.annotations[]"}),
        ("openai_responses", "anthropic", {"output[].content[].annotations[]"}),
    ],
)
def test_citations_of_pages_are_lost_only_for_messages_clients(upstream: str, client: str, paths: set[str]) -> None:
    citation = Citation(url="https://e.test", dialect=REGISTRY[upstream].family)
    assert dropped(upstream, client, Text("a", citations=(citation,))) == (paths, set())
