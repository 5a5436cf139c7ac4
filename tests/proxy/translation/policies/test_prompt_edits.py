"""Edits in the client's own fields: the same policy for every dialect, and no byte changed that need not change."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.model_policies import Policies
from proxy.translation.policies.prompt_edits import Additions, edit_request
from proxy.translation.quirks import DEFAULT, Quirks

EDIT = Policies(replacements=(("Claude", "Pixie"), ("Pixie Code", "Pixie")), append="Be terse.")
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "t", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "ok"}


def opened(fields):
    return Envelope({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}, "m")


def edit(dialect, fields, policies=EDIT, *, system=(), turn=(), quirks=DEFAULT, relayed=True):
    new = edit_request(opened(fields), REGISTRY[dialect].prompt_shape, policies, Additions(system, turn), quirks=quirks, relayed=relayed)
    return json.loads(msgspec.json.encode(new.fields))


def user(content):
    return {"role": "user", "content": content}


SYSTEM_CASES = [
    ("anthropic", {"system": "I am Claude Code."}, {"system": "I am Pixie.\n\nBe terse."}),
    ("anthropic", {}, {"system": "Be terse."}),
    ("anthropic", {"system": None}, {"system": "Be terse."}),
    (
        "bedrock",
        {"system": [{"type": "text", "text": "Claude", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "x"}]},
        {
            "system": [
                {"type": "text", "text": "Pixie", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "x"},
                {"type": "text", "text": "Be terse."},
            ]
        },
    ),
    (
        "anthropic",
        {"messages": [user("Claude?"), {"role": "system", "content": "Now Claude."}]},
        {"messages": [user("Claude?"), {"role": "system", "content": "Now Pixie."}], "system": "Be terse."},
    ),
    (
        "openai_chat",
        {"messages": [{"role": "system", "content": "Claude"}, {"role": "developer", "content": "x"}, user("Claude")]},
        {"messages": [{"role": "system", "content": "Pixie"}, {"role": "developer", "content": "x\n\nBe terse."}, user("Claude")]},
    ),
    (
        "openai_chat",
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "Claude"}]}]},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "Pixie"}, {"type": "text", "text": "Be terse."}]}]},
    ),
    (
        "gemini",
        {"systemInstruction": {"role": "user", "parts": [{"text": "I am Claude."}]}},
        {"systemInstruction": {"role": "user", "parts": [{"text": "I am Pixie."}, {"text": "Be terse."}]}},
    ),
    ("gemini", {"systemInstruction": "Claude"}, {"systemInstruction": {"parts": [{"text": "Pixie"}, {"text": "Be terse."}]}}),
    ("gemini", {}, {"systemInstruction": {"parts": [{"text": "Be terse."}]}}),
    ("bedrock_converse", {"system": [{"text": "Claude"}]}, {"system": [{"text": "Pixie"}, {"text": "Be terse."}]}),
    ("bedrock_converse", {}, {"system": [{"text": "Be terse."}]}),
    ("openai_chat", {"messages": [user("a")]}, {"messages": [{"role": "system", "content": "Be terse."}, user("a")]}),
    ("openai_responses", {"instructions": "Claude", "input": "a"}, {"instructions": "Pixie\n\nBe terse.", "input": "a"}),
    ("openai_responses", {"input": "a"}, {"input": "a", "instructions": "Be terse."}),
    (
        "openai_responses",
        {"input": [{"role": "developer", "content": [{"type": "input_text", "text": "Claude"}]}, user("a")]},
        {
            "input": [
                {"role": "developer", "content": [{"type": "input_text", "text": "Pixie"}, {"type": "input_text", "text": "Be terse."}]},
                user("a"),
            ]
        },
    ),
]


@pytest.mark.parametrize(("dialect", "fields", "expected"), SYSTEM_CASES)
def test_texts_of_the_system_prompt_are_replaced_in_order_and_then_one_is_added(dialect, fields, expected):
    assert edit(dialect, fields) == expected


TURN_CASES = [
    ("anthropic", [user("a")], [user([{"type": "text", "text": "a"}, {"type": "text", "text": "NOTE"}])]),
    (
        "anthropic",
        [user("a"), {"role": "assistant", "content": "b"}, user([{"type": "tool_result", "tool_use_id": "t", "content": "x"}])],
        [
            user("a"),
            {"role": "assistant", "content": "b"},
            user([{"type": "tool_result", "tool_use_id": "t", "content": "x"}, {"type": "text", "text": "NOTE"}]),
        ],
    ),
    (
        "bedrock",
        [user("a"), {"role": "assistant", "content": "{"}],
        [user([{"type": "text", "text": "a"}, {"type": "text", "text": "NOTE"}]), {"role": "assistant", "content": "{"}],
    ),
    ("openai_chat", [user("a")], [user("a\n\nNOTE")]),
    ("openai_chat", [user([{"type": "text", "text": "a"}])], [user([{"type": "text", "text": "a"}, {"type": "text", "text": "NOTE"}])]),
    ("openai_chat", [user("a"), CALL, RESULT], [user("a"), CALL, RESULT, user("NOTE")]),
    ("openai_chat", [user("a"), CALL, RESULT, user("b")], [user("a"), CALL, RESULT, user("b\n\nNOTE")]),
    ("openai_responses", [user("a")], [user([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "NOTE"}])]),
    (
        "openai_responses",
        [user("a"), {"type": "function_call_output", "call_id": "c", "output": "x"}],
        [
            user("a"),
            {"type": "function_call_output", "call_id": "c", "output": "x"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "NOTE"}]},
        ],
    ),
    (
        "openai_responses",
        "a",
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "NOTE"}]}],
    ),
]


@pytest.mark.parametrize(("dialect", "turns", "expected"), TURN_CASES)
def test_a_note_is_added_at_the_end_of_the_last_user_turn_after_results(dialect, turns, expected):
    field = "input" if dialect == "openai_responses" else "messages"
    assert edit(dialect, {field: turns}, Policies(), turn=("", "NOTE")) == {field: expected}


SETTINGS_CASES = [
    ("anthropic", {"max_tokens": 500}, Policies(max_tokens_cap=100), {"max_tokens": 100}),
    ("anthropic", {"max_tokens": 50}, Policies(max_tokens_cap=100), {"max_tokens": 50}),
    ("bedrock", {}, Policies(max_tokens_default=70), {"max_tokens": 70}),
    ("openai_chat", {"max_tokens": 500}, Policies(max_tokens_cap=100), {"max_tokens": 100}),
    ("openai_chat", {"max_completion_tokens": 500}, Policies(max_tokens_cap=100), {"max_completion_tokens": 100}),
    ("openai_chat", {"max_tokens": None}, Policies(max_tokens_default=70), {"max_tokens": None, "max_completion_tokens": 70}),
    ("openai_responses", {}, Policies(max_tokens_cap=70), {"max_output_tokens": 70}),
    ("openai_chat", {"temperature": 1}, Policies(temperature=0.2), {"temperature": 0.2}),
    ("anthropic", {"top_p": 0.5}, Policies(temperature=1.7), {"temperature": 1.0}),
    ("anthropic", {"thinking": {"type": "adaptive"}}, Policies(temperature=0.2), {"thinking": {"type": "adaptive"}}),
    ("anthropic", {"thinking": {"type": "disabled"}}, Policies(temperature=0.2), {"thinking": {"type": "disabled"}, "temperature": 0.2}),
    (
        "anthropic",
        {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 8000}},
        Policies(max_tokens_cap=4000),
        {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 3999}},
    ),
    (
        "anthropic",
        {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 8000}},
        Policies(max_tokens_cap=1000),
        {"max_tokens": 1000},
    ),
]


@pytest.mark.parametrize(("dialect", "fields", "policies", "expected"), SETTINGS_CASES)
def test_temperature_and_limits_in_each_dialects_own_fields(dialect, fields, policies, expected):
    assert edit(dialect, fields, policies) == expected


def test_a_thinking_budget_above_the_cap_is_unchanged():
    fields = {"max_tokens": 10, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    assert edit("anthropic", fields, Policies(max_tokens_cap=100)) == fields


def test_quirks_decide_on_the_field_of_the_limit_and_on_sampling():
    old = Quirks(max_tokens_field="max_tokens", no_sampling=True)
    assert edit("openai_chat", {}, Policies(max_tokens_default=70, temperature=0.2), quirks=old) == {"max_tokens": 70}


def test_edits_of_a_translated_request_ignore_the_limits_of_the_dialect():
    fields = {"max_tokens": 10, "thinking": {"type": "adaptive"}}
    assert edit("anthropic", fields, Policies(temperature=1.7), relayed=False) == fields | {"temperature": 1.7}


def test_only_what_must_change_is_written_anew():
    messages = b'[ {"role":"user", "content": "\\u00e9"},{"content":[ ],"role":"user"} ]'
    envelope = Envelope({"system": msgspec.Raw(b'"Claude"'), "messages": msgspec.Raw(messages), "x": msgspec.Raw(b"1.50")}, "m")
    new = edit_request(envelope, REGISTRY["anthropic"].prompt_shape, EDIT, Additions(turn=("NOTE",)), quirks=DEFAULT, relayed=True)
    assert {name: bytes(raw) for name, raw in new.fields.items()} == {
        "system": b'"Pixie\\n\\nBe terse."',
        "messages": b'[{"role":"user", "content": "\\u00e9"},{"content":[{"type":"text","text":"NOTE"}],"role":"user"}]',
        "x": b"1.50",
    }
    policies = Policies(replacements=(("nowhere", "x"),))
    unchanged = edit_request(envelope, REGISTRY["anthropic"].prompt_shape, policies, Additions(), quirks=DEFAULT, relayed=True)
    assert {name: bytes(raw) for name, raw in unchanged.fields.items()} == {name: bytes(raw) for name, raw in envelope.fields.items()}


SHORT_TEXTS = st.text(max_size=20)
CONTENTS = st.one_of(SHORT_TEXTS, st.lists(st.builds(lambda text: {"type": "text", "text": text}, SHORT_TEXTS), max_size=3))
TURNS = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(("system", "user", "assistant")), CONTENTS)
)
POLICIES = st.builds(
    lambda replaced, append: Policies(replacements=tuple(replaced), append=append),
    st.lists(st.tuples(st.text(min_size=1, max_size=3), st.text(max_size=3)), max_size=3),
    SHORT_TEXTS,
)


@given(st.sampled_from(sorted(REGISTRY)), TURNS, POLICIES, SHORT_TEXTS)
def test_the_same_conversation_gives_the_same_bytes(dialect, turns, policies, note):
    field = "input" if dialect == "openai_responses" else "messages"

    def edited_body():
        envelope = opened({field: turns})
        return msgspec.json.encode(
            edit_request(envelope, REGISTRY[dialect].prompt_shape, policies, Additions((), (note,)), quirks=DEFAULT, relayed=True).fields
        )

    assert edited_body() == edited_body()


@given(TURNS, TURNS, POLICIES)
def test_a_longer_conversation_begins_with_the_same_bytes(turns, later, policies):
    """The provider's prompt cache needs this: each turn begins with exactly what the turn before has sent."""
    first = user("a")
    short = edit("openai_chat", {"messages": [first, *turns]}, policies)["messages"]
    long = edit("openai_chat", {"messages": [first, *turns, *later]}, policies)["messages"]
    assert long[: len(short)] == short


@pytest.mark.parametrize(
    ("dialect", "fields", "edited"),
    [
        ("gemini", {}, {"generationConfig": {"maxOutputTokens": 70, "temperature": 1.5}}),
        (
            "gemini",
            {"generationConfig": {"maxOutputTokens": 900, "topP": 0.5}},
            {"generationConfig": {"maxOutputTokens": 100, "topP": 0.5, "temperature": 1.5}},
        ),
        ("bedrock_converse", {"inferenceConfig": {"maxTokens": 50}}, {"inferenceConfig": {"maxTokens": 50, "temperature": 1.0}}),
    ],
)
def test_limits_and_temperature_are_set_inside_of_their_object(dialect, fields, edited):
    assert edit(dialect, fields, Policies(max_tokens_default=70, max_tokens_cap=100, temperature=1.5)) == edited


@pytest.mark.parametrize(
    ("dialect", "fields", "edited"),
    [
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}, {"text": "NOTE"}]}]},
        ),
        (
            "bedrock_converse",
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
            {"messages": [{"role": "user", "content": [{"text": "Hi"}, {"text": "NOTE"}]}]},
        ),
    ],
)
def test_a_note_is_a_text_without_a_type_where_texts_have_none(dialect, fields, edited):
    assert edit(dialect, fields, Policies(), turn=("NOTE",)) == edited
