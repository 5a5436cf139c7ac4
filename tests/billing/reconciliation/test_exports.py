"""Usage exports of providers, in the forms of their APIs and as CSV."""

import json
from datetime import date
from decimal import Decimal

import pytest

from billing.reconciliation.exports import Billed, ExportError, read_export

OPENAI = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": 1_796_083_200,
            "end_time": 1_796_169_600,
            "results": [
                {"object": "organization.usage.completions.result", "model": "gpt-5", "input_tokens": 100, "input_cached_tokens": 40,
                 "output_tokens": 20, "num_model_requests": 3, "api_key_id": "a"},
                {"object": "organization.usage.completions.result", "model": "gpt-5", "input_tokens": 1, "input_cached_tokens": 0,
                 "output_tokens": 2, "num_model_requests": 1, "api_key_id": "b"},
            ],
        }
    ],
    "has_more": False,
}  # fmt: skip
ANTHROPIC = {
    "data": [
        {
            "starting_at": "2026-12-01T00:00:00Z",
            "ending_at": "2026-12-02T00:00:00Z",
            "results": [
                {"model": "claude-sonnet-4-5", "uncached_input_tokens": 10, "cache_read_input_tokens": 70, "output_tokens": 5,
                 "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5}, "server_tool_use": {}},
            ],
        }
    ],
}  # fmt: skip
OPENROUTER = {
    "data": [
        {"date": "2026-12-01", "model": "openai/gpt-5", "model_permaslug": "openai/gpt-5-2025-08-07", "usage": 0.015, "requests": 5,
         "prompt_tokens": 50, "completion_tokens": 125, "reasoning_tokens": 25, "byok_usage_inference": 0},
    ],
}  # fmt: skip
DAY = date(2026, 12, 1)
TABLE_OF_OPENAI = (
    "start_time,end_time,model,num_model_requests,input_tokens,output_tokens,input_cached_tokens\n"
    "1796083200,1796169600,gpt-5,3,100,20,40\n1796083200,1796169600,gpt-5,1,1,2,\n"
)
TABLE_OF_ANTHROPIC = (
    "\ufeffstarting_at,model,uncached_input_tokens,cache_creation_5m_input_tokens,cache_creation_1h_input_tokens,"
    "cache_read_input_tokens,output_tokens\n2026-12-01T00:00:00Z,claude-sonnet-4-5,10,15,5,70,5\n"
)


@pytest.mark.parametrize(
    ("document", "billed"),
    [
        (OPENAI, Billed(day=DAY, model="gpt-5", requests=4, input_tokens=101, cache_read_tokens=40, output_tokens=22)),
        (ANTHROPIC, Billed(day=DAY, model="claude-sonnet-4-5", input_tokens=100, cache_read_tokens=70, output_tokens=5)),
        (OPENROUTER, Billed(day=DAY, model="openai/gpt-5", requests=5, input_tokens=50, output_tokens=125, cost=Decimal("0.015"))),
    ],
)
def test_exports_as_json(document, billed):
    assert read_export(json.dumps(document).encode()) == [billed]
    assert read_export(json.dumps([document, {"data": []}]).encode()) == [billed]


@pytest.mark.parametrize(
    ("table", "billed"),
    [
        (
            TABLE_OF_OPENAI,
            Billed(day=DAY, model="gpt-5", requests=4, input_tokens=101, cache_read_tokens=40, output_tokens=22),
        ),
        (
            TABLE_OF_ANTHROPIC,
            Billed(day=DAY, model="claude-sonnet-4-5", input_tokens=100, cache_read_tokens=70, output_tokens=5),
        ),
        (
            "Date,Model,Usage,Requests,Prompt Tokens,Completion Tokens\n2026-12-01,openai/gpt-5,0.015,5,50,125\n",
            Billed(day=DAY, model="openai/gpt-5", requests=5, input_tokens=50, output_tokens=125, cost=Decimal("0.015")),
        ),
    ],
)
def test_exports_as_csv(table, billed):
    assert read_export(table.encode()) == [billed]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [{"x": 1}]}', "a row has none of the fields input_tokens"),
        (b"day,model,tokens\n2026-12-01,m,3\n", "a row has none of the fields input_tokens"),
        (b'{"data": [{"start_time": 1, "results": [{"input_tokens": 1, "output_tokens": 1}]}]}', "needs group_by=model"),
        (b"model,input_tokens,output_tokens\nm,1,1\n", "a row has no date"),
        (b"model,date,input_tokens,output_tokens\nm,2026-12-01,many,1\n", "the file is no usage export that is known"),
        (b"\xff\xfe", "the file is no usage export that is known"),
    ],
)
def test_other_files_are_refused(content, message):
    with pytest.raises(ExportError, match=message):
        read_export(content)
