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
    ("upstream", "path"),
    [("openai_chat", "choices[].message.annotations[]"), ("openai_responses", "output[].content[].annotations[]")],
)
def test_citations_of_pages_reach_every_client_and_others_only_those_of_the_family(upstream: str, path: str) -> None:
    family = REGISTRY[upstream].family
    page, file = Citation(url="https://e.test", dialect=family), Citation(title="a.pdf", dialect=family)
    clients = {client: dropped(upstream, client, Text("a", citations=(page, file)))[0] for client in REGISTRY}
    assert clients == {client: set() if client == upstream else {path} for client in REGISTRY}
    assert dropped(upstream, "anthropic", Text("a", citations=(page,))) == (set(), set())
