"""When an answer counts as a step of the work, and who decides that it must."""

import msgspec
import pytest

from proxy.translation.canonical import Finish, Reasoning, Response, Seal, Text, ToolCall
from proxy.translation.policies.tool_call_rules import DEFAULTS, FLAG, Enforcement, Rules, choose_enforcement, has_tools, parse_switch

STRICT = Enforcement.from_rules(Rules())
LENIENT = Enforcement.from_rules(Rules(empty_response_policy="lenient"))
NEITHER = "it had neither a tool call nor the termination flag"


def answer(*parts):
    return Response(id="r", model="m", parts=parts, finish=Finish())


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ((ToolCall("c1", "t", "{}"),), ""),
        ((Text("Let me see."), ToolCall("c1", "t", "{}")), ""),
        ((ToolCall("", "t", "{}"),), "its tool call had no id or no name"),
        ((ToolCall("c1", "", "{}"),), "its tool call had no id or no name"),
        ((Text(FLAG),), ""),
        ((Text('Done. {"tool_loop" :"completed" }'),), ""),
        ((Reasoning(FLAG), Text("Done.")), ""),
        ((Text("I will do it."),), NEITHER),
        ((Text('{"tool_loop": "going"}'),), NEITHER),
        ((), "it was empty"),
        ((Text(" \n"),), "it was empty"),
        ((Reasoning("hm"), Text("")), "it was empty"),
    ],
)
def test_an_answer_has_a_fault_unless_it_calls_a_tool_or_has_the_flag(parts, fault):
    assert STRICT.fault(answer(*parts)) == fault
    assert LENIENT.fault(answer(*parts)) == ("" if fault == "it was empty" else fault)


@pytest.mark.parametrize(
    ("parts", "remaining"),
    [
        ((Text(FLAG),), ()),
        ((Text(f"All done.\n\n{FLAG}\n"),), (Text("All done."),)),
        ((Text(f"```json\n{FLAG}\n```"), Text("Bye.")), (Text("Bye."),)),
        ((Reasoning(FLAG), Text("Done.")), (Text("Done."),)),
        ((Reasoning(FLAG, Seal("anthropic", "u", {})), Text("Done.")), (Reasoning(FLAG, Seal("anthropic", "u", {})), Text("Done."))),
    ],
)
def test_the_flag_is_taken_out_of_the_answer(parts, remaining):
    assert STRICT.without_flag(answer(*parts)).parts == remaining


def test_an_answer_without_the_flag_is_left_alone():
    original = answer(Text("  spaces stay  "), ToolCall("c", "t", FLAG))
    assert STRICT.without_flag(original) is original


def test_a_flag_of_plain_words_is_matched_literally():
    rules = Enforcement.from_rules(Rules(termination_flag="ALL DONE", guidance="Say {flag}."))
    assert (rules.guidance, rules.fault(answer(Text("ALL  DONE"))), rules.fault(answer(Text("ALL DONE")))) == ("Say ALL DONE.", NEITHER, "")
    assert rules.correction("it was empty").endswith("answer with exactly ALL DONE]")


ON, OFF = Rules(enabled=True), Rules(enabled=False)


@pytest.mark.parametrize(
    ("header", "query", "model", "settings", "tools", "is_on"),
    [
        (None, None, None, OFF, True, False),
        (None, None, None, ON, True, True),
        (None, None, OFF, ON, True, False),
        (None, None, Rules(max_retries=2), ON, True, True),
        (None, None, ON, OFF, True, True),
        (None, None, ON, ON, False, False),
        (None, False, ON, ON, True, False),
        (None, True, OFF, OFF, False, True),
        (False, True, ON, ON, True, False),
        (True, False, OFF, OFF, False, True),
    ],
)
def test_the_header_wins_over_the_query_over_the_model_over_the_settings(header, query, model, settings, tools, is_on):
    assert (choose_enforcement(header=header, query=query, model=model, settings=settings, has_tools=tools) is not None) is is_on


def test_a_models_rules_lie_over_the_settings_and_those_over_our_own():
    settings = Rules(enabled=True, max_retries=4, termination_flag="DONE")
    enforcement = choose_enforcement(
        header=None, query=None, model=Rules(max_retries=2, stream_chunk_delay_ms=30), settings=settings, has_tools=True
    )
    expected = Enforcement(
        flag="DONE", max_retries=2, guidance=str(DEFAULTS.guidance).replace("{flag}", "DONE"), delay_seconds=0.03, is_strict=True
    )
    assert enforcement == expected


@pytest.mark.parametrize(
    ("word", "meaning"),
    [(None, None), ("", None), ("TRUE", True), ("1", True), ("yes", True), (" on ", True), ("off", False), ("0", False)],
)
def test_words_that_are_switches(word, meaning):
    assert parse_switch(word) is meaning


def test_an_unknown_value_is_refused():
    with pytest.raises(ValueError, match="true or false is expected"):
        parse_switch("maybe")


TOOLS = b'[{"name":"t"}]'
COMPACTS = b'[{"type":"compaction_trigger"}]'


@pytest.mark.parametrize("fields", [{}, {"tools": b"[]"}, {"tools": b" null"}, {"tools": TOOLS, "input": COMPACTS}])
def test_no_tools_to_work_with(fields):
    assert not has_tools({name: msgspec.Raw(raw) for name, raw in fields.items()})


@pytest.mark.parametrize("name", ["tools", "functions"])
def test_tools(name):
    assert has_tools({name: msgspec.Raw(TOOLS)})
