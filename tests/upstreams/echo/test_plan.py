import pytest

from upstreams.echo.directives import Directives, EchoError
from upstreams.echo.plan import Call, EchoRequest, EchoResponse, Tool, Usage, plan

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER, CLOCK = Tool("get_weather", CITY), Tool("get_time", CITY)


def ask(text, directives=None, **fields):
    return plan(EchoRequest(model="echo", text=text, **fields), directives or Directives())


def calls(text, **fields):
    return ask(text, **{"tools": (WEATHER, CLOCK), **fields}).calls


def test_the_answer_is_the_prompt_in_pieces_of_one_word():
    assert ask("say  hello\nworld", input_tokens=9) == EchoResponse(text=("say  ", "hello\n", "world"), usage=Usage(fresh=9, output=4))


def test_a_directive_sets_the_text():
    assert ask("x", Directives(say="something else")).text == ("something ", "else")


def test_an_empty_say_directive_gives_an_empty_answer():
    assert ask("x", Directives(say="")) == EchoResponse(usage=Usage(fresh=0, output=0))


def test_media_are_described_after_the_text():
    assert "".join(ask("look", media=("image/png, 68 bytes",)).text) == "look\n[image/png, 68 bytes]"


@pytest.mark.parametrize(
    ("text", "count", "pieces"),
    [
        ("hi", 3, ("hi ", "hi ", "hi")),
        ("a b", 3, ("a ", "b ", "a")),
        ("a b c", 2, ("a ", "b c")),
        ("a b c", 3, ("a ", "b ", "c")),
        ("a", 0, ()),
    ],
)
def test_a_directive_can_set_the_number_of_pieces(text, count, pieces):
    assert ask(text, Directives(chunks=count)).text == pieces


def test_a_tool_that_the_prompt_names_is_called():
    assert calls('please call get_weather {"city": "Oslo"}') == (Call("get_weather", '{"city": "Oslo"}'),)


@pytest.mark.parametrize("text", ["get the weather with get weather", "use Get_Weather", "call the tool", "Use a function, please"])
def test_arguments_are_made_from_the_schema_when_the_prompt_has_none(text):
    assert calls(text) == (Call("get_weather", '{"city": "city"}'),)


@pytest.mark.parametrize("text", ["hello", "how is the weather?", "forget_weather get_weather_now", "tools are nice"])
def test_other_prompts_call_nothing(text):
    assert calls(text) == ()


def test_two_named_tools_are_called_in_the_order_of_their_names():
    text = 'get_time {"city": "Rome"} and get_weather {"city": "Oslo"}'
    assert calls(text) == (Call("get_time", '{"city": "Rome"}'), Call("get_weather", '{"city": "Oslo"}'))


def test_several_objects_are_several_calls_of_one_tool():
    assert calls('get_time {"city": "Rome"} {"city": "Oslo"}') == (
        Call("get_time", '{"city": "Rome"}'),
        Call("get_time", '{"city": "Oslo"}'),
    )


def test_the_plural_calls_two():
    assert [call.name for call in calls("use the tools")] == ["get_weather", "get_time"]


def test_without_parallel_calls_there_is_one_call():
    assert [call.name for call in calls("get_time and get_weather", parallel=False)] == ["get_time"]


def test_a_forced_tool_is_called_whatever_the_prompt_says():
    assert calls("hello", choice="tool", forced="get_time") == (Call("get_time", '{"city": "city"}'),)


def test_a_forced_tool_that_is_not_offered_is_refused():
    with pytest.raises(EchoError, match="Tool 'nope' not found"):
        calls("hello", choice="tool", forced="nope")


def test_any_takes_the_first_tool():
    assert calls('hello {"city": "Oslo"}', choice="any") == (Call("get_weather", '{"city": "Oslo"}'),)


def test_none_calls_nothing():
    assert calls("get_weather", choice="none") == ()


def test_a_free_form_tool_gets_the_prompt():
    assert calls("run patch", tools=(Tool("patch", free_form=True),)) == (Call("patch", "run patch", free_form=True),)


def test_calls_end_the_answer_and_leave_no_text():
    assert ask("get_weather", tools=(WEATHER,)) == EchoResponse(
        calls=(Call("get_weather", '{"city": "city"}'),), stop="tool", usage=Usage(fresh=0, output=4)
    )


def test_results_are_repeated_instead_of_calling_again():
    assert ask("get_weather", tools=(WEATHER,), results=("21 degrees", "noon")).text == ("21 ", "degrees\n", "noon")


def test_structured_output_is_made_from_the_schema_and_the_prompt():
    assert "".join(ask("Oslo", schema=CITY).text) == '{"city": "Oslo"}'


def test_an_object_in_the_prompt_that_fits_the_schema_is_used():
    assert "".join(ask('give me {"no": 1} {"city": "Rome"}', schema=CITY).text) == '{"city": "Rome"}'


def test_any_object_is_asked_for_with_an_empty_schema():
    assert "".join(ask("hi", schema={}).text) == '{"text": "hi"}'


def test_the_text_ends_at_a_stop_sequence():
    answer = ask("one STOP two", stops=("two", "STOP"))
    assert (answer.text, answer.stop, answer.stop_sequence) == (("one ",), "sequence", "STOP")


def test_the_text_ends_at_the_token_limit():
    answer = ask("one two three", max_tokens=2)
    assert ("".join(answer.text), answer.stop) == ("one two ", "length")


@pytest.mark.parametrize("stop", ["end", "length", "refusal", "pause", "context"])
def test_a_directive_can_set_the_stop_reason(stop):
    assert ask("hi", Directives(stop=stop)).stop == stop


def test_calls_end_with_the_stop_reason_of_calls_even_if_a_directive_sets_another():
    assert ask("get_time", Directives(stop="end"), tools=(CLOCK,)).stop == "tool"


def test_thinking_is_sent_if_the_request_or_a_directive_asks_for_it():
    assert ask("a b", thinking=True).thinking == "The prompt has 2 words. I will repeat what I was told."
    assert ask("a b").thinking is None
    assert ask("a b", Directives(thinking="Hm.")).thinking == "Hm."


def test_a_directive_can_set_the_usage():
    directives = Directives(input_tokens=1000, output_tokens=50, cache_read=900, cache_write=7, thinking="four")
    assert ask("hi", directives).usage == Usage(fresh=1000, output=50, cache_read=900, cache_write=7, thinking=1)
    assert ask("hi", Directives(usage="none")).usage is None


def test_a_directive_can_cause_an_error():
    with pytest.raises(EchoError) as refused:
        ask("hi", Directives(status=429, retry_after=1.5))
    assert (refused.value.status, refused.value.message, refused.value.retry_after) == (429, "echo: error 429 on demand", 1.5)
