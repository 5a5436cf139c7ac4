"""What adapt moves, renames and refuses, and that the reply finds its way back."""

import hashlib

import msgspec
import pytest

from proxy.translation.adaptation.adapt import adapt
from proxy.translation.adaptation.tool_history import pair_tool_results
from proxy.translation.canonical import (
    Demand,
    Finish,
    HostedTool,
    Image,
    Message,
    OutputFormat,
    Request,
    Response,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.base import EncodeTarget, Traits
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

CHAT = Traits(tool_name_limit=64)
STRICT = Traits(tool_name_limit=128, strict_call_ids=True, tool_subsets=False)
NATIVE = Traits(tool_name_limit=64, custom_tools=True, namespaces=True)
ASK = Message("user", (Text("hi"),))


def request(**fields: object) -> Request:
    return Request(**{"model": "m", "messages": (ASK,), "family": "anthropic"} | fields)


def fitted(original: Request, traits: Traits = CHAT, quirks: Quirks | None = None, family: str = "openai_chat") -> Request:
    return adapt(original, EncodeTarget(model="up", dialect=family, quirks=quirks or Quirks()), family=family, traits=traits).request


def mistake(original: Request, traits: Traits = CHAT, quirks: Quirks | None = None) -> tuple[str, str | None]:
    with pytest.raises(ClientMistake) as caught:
        fitted(original, traits, quirks)
    return caught.value.failure.message, caught.value.failure.param


def call(call_id: str, name: str = "f") -> ToolCall:
    return ToolCall(call_id, name, "{}")


def test_a_request_that_needs_no_adaptation_is_unchanged() -> None:
    original = request(tools=(Tool(name="f"),), messages=(ASK, Message("assistant", (call("a"),)), Message("user", (ToolResult("a"),))))
    adapted = adapt(original, EncodeTarget(model="up", dialect="openai_chat"), family="openai_chat", traits=CHAT)
    assert (adapted.request, adapted.restorer, adapted.dropped) == (original, None, ())


def test_a_demand_that_the_target_does_not_carry_is_refused_with_its_field() -> None:
    original = request(demands=(Demand(field="n", message="n: only 1 is possible", carried_by=()),))
    assert mistake(original) == ("n: only 1 is possible", "n")


def test_a_demand_that_the_target_carries_stays() -> None:
    original = request(demands=(Demand(field="logprobs", message="no", carried_by=("openai_chat",)),))
    assert fitted(original) == original


class TestToolNames:
    long = "mcp__" + "a_very_long_server_name_" * 3 + "tool"
    short = long[:55] + "_" + hashlib.sha256(long.encode()).hexdigest()[:8]

    def test_a_long_name_is_shortened_everywhere(self) -> None:
        original = request(
            tools=(Tool(name=self.long),),
            tool_choice=ToolChoice(mode="tool", name=self.long),
            messages=(ASK, Message("assistant", (call("a", self.long),)), Message("user", (ToolResult("a"),))),
        )
        expected = request(
            tools=(Tool(name=self.short),),
            tool_choice=ToolChoice(mode="tool", name=self.short),
            messages=(ASK, Message("assistant", (call("a", self.short),)), Message("user", (ToolResult("a"),))),
        )
        assert len(self.short) == 64
        assert fitted(original) == expected

    def test_the_reply_gets_the_clients_name_back(self) -> None:
        adapted = adapt(request(tools=(Tool(name=self.long),)), EncodeTarget(model="up", dialect="c"), family="c", traits=CHAT)
        reply = Response(id="1", model="up", parts=(call("a", self.short),), finish=Finish(reason="tool_calls"))
        assert adapted.restorer is not None
        assert adapted.restorer.response(reply).parts == (call("a", self.long),)

    def test_illegal_characters_become_underscores_and_collisions_stay_apart(self) -> None:
        tools = fitted(request(tools=(Tool(name="a_b"), Tool(name="a.b"), Tool(name="a b")))).tools
        assert [tool.name for tool in tools] == ["a_b", "a_b", "a_b"][:1] + [
            "a_b" + "_" + hashlib.sha256(b"a.b").hexdigest()[:8] if name == "a.b" else "a_b_" + hashlib.sha256(b"a b").hexdigest()[:8]
            for name in ("a.b", "a b")
        ]

    def test_namespaces_are_flattened_and_led_back(self) -> None:
        original = request(
            tools=(Tool(name="exec", namespace="functions"), Tool(name="exec", namespace="clock"), Tool(name="wait", namespace="clock"))
        )
        adapted = adapt(original, EncodeTarget(model="up", dialect="c"), family="c", traits=CHAT)
        assert [tool.name for tool in adapted.request.tools] == ["functions__exec", "clock__exec", "clock__wait"]
        reply = Response(id="1", model="up", parts=(call("a", "clock__exec"), call("b", "wait")), finish=Finish(reason="tool_calls"))
        assert adapted.restorer is not None
        assert adapted.restorer.response(reply).parts == (
            ToolCall("a", "exec", "{}", namespace="clock"),
            ToolCall("b", "wait", "{}", namespace="clock"),
        )

    def test_native_namespaces_are_kept(self) -> None:
        original = request(tools=(Tool(name="exec", namespace="functions"),))
        assert fitted(original, NATIVE) == original


class TestCustomTools:
    tool = Tool(
        name="apply_patch",
        kind="custom",
        description="Edit files.",
        format=msgspec.Raw(b'{"type":"grammar","syntax":"lark","definition":"start: x"}'),
    )

    def test_a_custom_tool_travels_as_a_function_with_one_string(self) -> None:
        original = request(
            tools=(self.tool,),
            messages=(
                ASK,
                Message("assistant", (ToolCall("a", "apply_patch", '*** "x"', kind="custom"),)),
                Message("user", (ToolResult("a", kind="custom"),)),
            ),
        )
        expected = request(
            tools=(
                Tool(
                    name="apply_patch",
                    description="Edit files.\n\nGive the tool's whole input as the string `input`."
                    "\n\nThe input must follow this lark grammar:\nstart: x",
                    schema=msgspec.Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'),
                ),
            ),
            messages=(
                ASK,
                Message("assistant", (ToolCall("a", "apply_patch", '{"input":"*** \\"x\\""}'),)),
                Message("user", (ToolResult("a"),)),
            ),
        )
        assert fitted(original) == expected

    def test_the_grammar_is_also_described_in_the_shape_of_chat(self) -> None:
        chat = msgspec.structs.replace(
            self.tool, format=msgspec.Raw(b'{"type":"grammar","grammar":{"syntax":"lark","definition":"start: x"}}')
        )
        assert fitted(request(tools=(chat,))) == fitted(request(tools=(self.tool,)))

    def test_its_reply_is_unwrapped(self) -> None:
        adapted = adapt(request(tools=(self.tool,)), EncodeTarget(model="up", dialect="c"), family="c", traits=CHAT)
        reply = Response(
            id="1", model="up", parts=(ToolCall("a", "apply_patch", '{"input": "line\\n"}'),), finish=Finish(reason="tool_calls")
        )
        assert adapted.restorer is not None
        assert adapted.restorer.response(reply).parts == (ToolCall("a", "apply_patch", "line\n", kind="custom"),)

    def test_targets_that_know_custom_tools_get_them(self) -> None:
        original = request(tools=(self.tool,))
        assert fitted(original, NATIVE) == original
        assert fitted(original, CHAT, Quirks(supports_custom_tools=True)) == original


@pytest.mark.parametrize(
    ("stops", "traits", "quirks", "dropped"),
    [
        (4, Traits(stops=4), Quirks(), ()),
        (5, Traits(stops=4), Quirks(), ("1 stop sequence",)),
        (6, Traits(stops=4), Quirks(no_stop=True), ("6 stop sequences",)),
        (2, Traits(stops=0), Quirks(), ("2 stop sequences",)),
        (9, Traits(), Quirks(), ()),
    ],
)
def test_how_many_stop_sequences_the_target_does_not_take_is_noted(stops, traits, quirks, dropped) -> None:
    destination = EncodeTarget(model="up", dialect="c", quirks=quirks)
    assert adapt(request(stop=tuple("abcdefghi"[:stops])), destination, family="c", traits=traits).dropped == dropped


class TestHostedTools:
    search = HostedTool(family="anthropic", type="web_search_20250305", name="web_search", native=msgspec.Raw(b"{}"))

    def test_a_foreign_hosted_tool_is_dropped_and_noted(self) -> None:
        original = request(tools=(self.search, Tool(name="f")), tool_choice=ToolChoice(mode="auto"))
        adapted = adapt(original, EncodeTarget(model="up", dialect="c"), family="c", traits=CHAT)
        assert adapted.request == request(tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="auto"))
        assert adapted.dropped == ("tool web_search_20250305",)

    def test_a_forced_foreign_tool_is_refused(self) -> None:
        message, param = mistake(request(tools=(self.search, Tool(name="f")), tool_choice=ToolChoice(mode="tool", name="web_search")))
        assert (message.split(":")[0], param) == ("tool_choice", "tool_choice")

    def test_without_tools_left_the_choice_goes_too(self) -> None:
        original = request(tools=(self.search,), tool_choice=ToolChoice(mode="auto"), parallel_calls=False)
        assert fitted(original) == request()

    def test_the_own_family_keeps_them(self) -> None:
        original = request(tools=(self.search,))
        assert fitted(original, STRICT, family="anthropic") == original


class TestToolHistory:
    def test_an_unanswered_call_gets_an_error_result_beside_the_others(self) -> None:
        original = request(messages=(ASK, Message("assistant", (call("a"), call("b"))), Message("user", (ToolResult("b"), Text("go on")))))
        expected = (
            ASK,
            Message("assistant", (call("a"), call("b"))),
            Message("user", (ToolResult("b"), ToolResult("a", (Text("(no result)"),), True), Text("go on"))),
        )
        assert fitted(original).messages == expected

    def test_an_unanswered_call_before_the_next_assistant_turn_gets_a_turn_of_its_own(self) -> None:
        original = request(messages=(ASK, Message("assistant", (call("a"),))))
        assert fitted(original).messages == (
            ASK,
            Message("assistant", (call("a"),)),
            Message("user", (ToolResult("a", (Text("(no result)"),), True),)),
        )

    def test_results_move_before_system_messages_of_the_same_turn(self) -> None:
        late = Message("system", (Text("note"),))
        original = request(messages=(ASK, Message("assistant", (call("a"),)), late, Message("user", (ToolResult("a"),))))
        assert fitted(original).messages == (ASK, Message("assistant", (call("a"),)), Message("user", (ToolResult("a"),)), late)

    @pytest.mark.parametrize(
        "messages",
        [
            (ASK, Message("user", (ToolResult("a"),))),
            (ASK, Message("assistant", (call("a"),)), Message("user", (ToolResult("z"),))),
            (ASK, Message("assistant", (call("a"),)), Message("user", (ToolResult("a"), ToolResult("a")))),
        ],
    )
    def test_a_result_without_its_call_is_refused(self, messages: tuple[Message, ...]) -> None:
        assert mistake(request(messages=messages))[1] == "messages"

    def test_upstreams_may_have_unanswered_calls_refused(self) -> None:
        original = request(messages=(ASK, Message("assistant", (call("a"),))))
        assert mistake(original, CHAT, Quirks(unanswered_calls="refuse")) == ("messages: the tool call 'a' has no result", "messages")

    def test_ids_become_legal_alike_in_calls_and_results(self) -> None:
        turn = (
            Message("assistant", (call("functions.f:0"), call("functions_f_0"))),
            Message("user", (ToolResult("functions.f:0"), ToolResult("functions_f_0"))),
        )
        legal = (
            Message("assistant", (call("functions_f_0"), call("functions_f_0_2"))),
            Message("user", (ToolResult("functions_f_0"), ToolResult("functions_f_0_2"))),
        )
        assert fitted(request(messages=(ASK, *turn)), STRICT).messages == (ASK, *legal)
        assert fitted(request(messages=(ASK, *turn)), CHAT).messages == (ASK, *turn)


class TestQuirks:
    def test_a_forced_choice_is_dropped_where_only_auto_is_known(self) -> None:
        original = request(tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="required"), parallel_calls=False)
        expected = request(tools=(Tool(name="f"),), parallel_calls=False)
        assert fitted(original, CHAT, Quirks(tool_choice="auto_only")) == expected

    def test_sampling_and_stops_go(self) -> None:
        assert fitted(request(temperature=0.5, top_p=0.5, top_k=4, stop=("x",)), CHAT, Quirks(no_sampling=True, no_stop=True)) == request()

    def test_images_are_refused_with_their_path_also_inside_results(self) -> None:
        image = Image(Source("base64", "aGk=", "image/png"), at="messages.2.content.0.content.0")
        original = request(messages=(ASK, Message("assistant", (call("a"),)), Message("user", (ToolResult("a", (image,)),))))
        assert mistake(original, CHAT, Quirks(images=False))[1] == "messages.2.content.0.content.0"
        assert fitted(original) == original

    def test_images_by_url_are_refused_where_few_take_them_but_not_within_one_family(self) -> None:
        original = request(messages=(Message("user", (Image(Source("url", "https://e.test/a.png"), at="messages.0.content.0"),)),))
        traits = Traits(image_urls=False)
        assert mistake(original, traits)[1] == "messages.0.content.0"
        assert fitted(original, traits, Quirks(image_urls=True)) == original
        assert fitted(original, traits, family="anthropic") == original
        assert fitted(original, CHAT) == original

    def test_refused_schema_keywords_are_removed_but_not_properties_of_that_name(self) -> None:
        schema = msgspec.Raw(
            b'{"type":"object","additionalProperties":false,"properties":{"additionalProperties":{"type":"string","minLength":1}}}'
        )
        clean = msgspec.Raw(b'{"type":"object","properties":{"additionalProperties":{"type":"string"}}}')
        quirks = Quirks(schema_keywords_refused=("additionalProperties", "minLength"))
        assert fitted(request(tools=(Tool(name="f", schema=schema),)), CHAT, quirks) == request(tools=(Tool(name="f", schema=clean),))

    def test_a_subset_narrows_the_tools_where_allowed_tools_is_unknown(self) -> None:
        original = request(tools=(Tool(name="f"), Tool(name="g")), tool_choice=ToolChoice(mode="required", subset=("g",)))
        assert fitted(original, STRICT) == request(tools=(Tool(name="g"),), tool_choice=ToolChoice(mode="required"))

    def test_an_emulated_schema_comes_back_as_text(self) -> None:
        schema = msgspec.Raw(b'{"type":"object"}')
        original = request(output=OutputFormat(kind="json_schema", schema=schema))
        adapted = adapt(original, EncodeTarget(model="up", dialect="c", quirks=Quirks(structured_output=False)), family="c", traits=CHAT)
        assert adapted.request == request(
            tools=(Tool(name="json_output", description="Give the final answer.", schema=schema),),
            tool_choice=ToolChoice(mode="tool", name="json_output"),
        )
        reply = Response(id="1", model="up", parts=(ToolCall("a", "json_output", '{"x":1}'),), finish=Finish(reason="tool_calls"))
        assert adapted.restorer is not None
        assert adapted.restorer.response(reply) == Response(id="1", model="up", parts=(Text('{"x":1}'),), finish=Finish(reason="end"))


def test_two_calls_of_one_id_in_a_turn_are_refused() -> None:
    calls = Message("assistant", (ToolCall("x", "a", "{}"), ToolCall("x", "b", "{}")))
    with pytest.raises(ClientMistake, match="the tool call id 'x' occurs twice in one turn"):
        pair_tool_results((Message("user", (Text("Hi"),)), calls), insert=True)


class TestASubsetOfTools:
    TOOLS = (
        Tool(name="f", namespace="mcp"),
        Tool(name="g", namespace="mcp"),
        Tool(name="f"),
        HostedTool(family="openai_responses", type="web_search", name="web_search", native=msgspec.Raw(b"{}")),
    )

    def fitted(self, choice: ToolChoice, traits: Traits) -> Request:
        return fitted(request(family="openai_responses", tools=self.TOOLS, tool_choice=choice), traits)

    @pytest.mark.parametrize(
        ("subset", "names"),
        [
            (("mcp__f",), ("mcp__f",)),
            (("f",), ("f",)),
            (("g",), ("mcp__g",)),
            (("mcp",), ("mcp__f", "mcp__g")),
            (("web_search", "f"), ("f",)),
        ],
    )
    def test_it_names_the_tools_as_the_target_knows_them(self, subset: tuple[str, ...], names: tuple[str, ...]) -> None:
        choice = self.fitted(ToolChoice(mode="auto", subset=subset), CHAT).tool_choice
        assert choice == ToolChoice(mode="auto", subset=names)

    def test_it_narrows_the_tools_of_a_namespace(self) -> None:
        fitted = self.fitted(ToolChoice(mode="required", subset=("mcp__g",)), STRICT)
        assert (fitted.tools, fitted.tool_choice) == ((Tool(name="mcp__g"),), ToolChoice(mode="required"))

    def test_none_of_it_may_be_called_when_the_target_has_none_of_it(self) -> None:
        assert self.fitted(ToolChoice(mode="auto", subset=("web_search",)), STRICT).tool_choice == ToolChoice(mode="none")

    def test_it_is_refused_when_one_must_be_called_and_the_target_has_none_of_it(self) -> None:
        with pytest.raises(ClientMistake, match="none of the allowed tools"):
            self.fitted(ToolChoice(mode="required", subset=("web_search",)), CHAT)

    def test_a_hosted_tool_is_refused_when_forced_although_no_list_declares_it(self) -> None:
        with pytest.raises(ClientMistake, match="runs at its vendor"):
            self.fitted(ToolChoice(mode="tool", name="file_search", kind="file_search"), CHAT)

    def test_a_bare_name_may_choose_the_tool_of_a_namespace(self) -> None:
        choice = self.fitted(ToolChoice(mode="tool", name="g"), CHAT).tool_choice
        assert choice == ToolChoice(mode="tool", name="mcp__g")
