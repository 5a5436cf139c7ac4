"""The streams in the case folders keep the grammar, and the official SDK reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.cases import ROOT
from tests.support.grammar_openai_responses import check

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STREAMS = sorted(
    folder / "client_stream.sse"
    for folder in (ROOT / "translate").glob("openai_responses-*")
    if not folder.name.startswith("openai_responses-openai_responses-") and (folder / "client_stream.sse").exists()
)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.parent.name)
def test_the_grammar_is_kept(path: Path) -> None:
    assert check(path.read_bytes())


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.parent.name)
def test_the_sdk_accumulates_the_stream(path: Path) -> None:
    events = check(path.read_bytes())
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    sdk_events = [sdk_event for event in events for sdk_event in state.handle_event(EVENT.validate_python(event))]
    assert sdk_events[-1].type == events[-1]["type"]
    assert [item.type for item in sdk_events[-1].response.output] == [item["type"] for item in events[-1]["response"]["output"]]
