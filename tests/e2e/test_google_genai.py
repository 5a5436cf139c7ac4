"""Google's SDK against a running gateway, with a provider of each dialect behind it that refuses what the real one would."""

import base64
import json

import pytest
from google import genai
from google.genai import errors, types

from tests.support.vendor_wires import Call, Completion
from tests.support.vendor_wires_clouds import CALL_SIGNATURE

PIECES = ["Grüße, ", "дом 日本", "語 👩‍👩‍👧 ", "\u2028 end"]
SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}, "required": ["a"]}
DECLARATIONS = [types.FunctionDeclaration(name=name, description=name, parameters=SCHEMA) for name in ("f", "g")]
FUNCTIONS = types.Tool(function_declarations=DECLARATIONS)
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
HI = [{"role": "user", "parts": [{"text": "Hi"}]}]

whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def vendor(any_vendor):
    return any_vendor


@pytest.fixture(scope="module")
def google(gateway):
    with genai.Client(api_key=gateway.client_key, http_options=types.HttpOptions(base_url=gateway.url)) as client:
        yield client


@pytest.fixture(autouse=True)
def relayed(request):
    """Google's own API gets the SDK's bodies as they are."""
    if "vendor" in request.fixturenames:
        vendor = request.getfixturevalue("vendor")
        vendor.takes_own_clients = vendor.dialect == "gemini"


@pytest.fixture
def ask(google, vendor):
    """Ask, streamed or not; the parts, the last candidate and the usage either way."""

    def asking(contents="Hi", *, stream=False, model="", **config):
        arguments = {"model": model or f"gpt-5-at-{vendor.dialect}", "contents": contents}
        arguments["config"] = types.GenerateContentConfig(automatic_function_calling={"disable": True}, **config)
        models = google.models
        chunks = list(models.generate_content_stream(**arguments)) if stream else [models.generate_content(**arguments)]
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
        return parts, chunks[-1].candidates[0], chunks[-1].usage_metadata

    return asking


def text_of(parts):
    return "".join(part.text for part in parts if part.text and not part.thought)


@pytest.mark.parametrize("split", [0, 1, 7])
@whole_and_streamed
def test_words_and_usage(ask, vendor, stream, split):
    vendor.split = split
    vendor.says(Completion(PIECES))
    parts, candidate, usage = ask(stream=stream, system_instruction="Be brief.", max_output_tokens=100)
    assert (text_of(parts), candidate.finish_reason) == ("".join(PIECES), types.FinishReason.STOP)
    assert (usage.prompt_token_count, usage.cached_content_token_count, usage.total_token_count) == (150, 30, 200)
    assert (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) == 50
    assert vendor.refused == []


@whole_and_streamed
def test_parallel_calls_and_their_results(ask, vendor, stream):
    calls = [Call("call_1", "f", '{"a":1}'), Call("call_2", "g", '{"a":2}')]
    vendor.says(Completion("Let me look.", calls=calls, thinking=["I think ", "hard"]), Completion("Done"))
    config = {"tools": [FUNCTIONS], "thinking_config": {"include_thoughts": True, "thinking_budget": 2000}, "max_output_tokens": 9000}
    parts, candidate, _ = ask(stream=stream, model=f"claude-sonnet-4-5-at-{vendor.dialect}", **config)
    called = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args) for call in called] == [("f", {"a": 1}), ("g", {"a": 2})]
    assert candidate.finish_reason == types.FinishReason.STOP
    assert "".join(part.text for part in parts if part.thought) == "I think hard"
    # Many clients keep no thoughts, but the signatures of calls: what a provider needs back must be there.
    kept = types.Content(role="model", parts=[part for part in parts if not part.thought])
    results = [types.Part(function_response=types.FunctionResponse(id=c.id, name=c.name, response={"seen": c.args["a"]})) for c in called]
    contents = [*HI, kept, types.Content(role="user", parts=results)]
    parts, candidate, _ = ask(contents, stream=stream, model=f"claude-sonnet-4-5-at-{vendor.dialect}", **config)
    assert (text_of(parts), candidate.finish_reason, vendor.refused) == ("Done", types.FinishReason.STOP, [])
    sent = json.dumps(vendor.last)
    assert "seen" in sent
    assert (CALL_SIGNATURE if vendor.dialect == "gemini" else "I think hard") in sent


@whole_and_streamed
def test_a_chat_keeps_its_turns(google, vendor, stream):
    vendor.says(Completion(["First", " answer"], thinking=["well"]), Completion("Second"))
    chat = google.chats.create(model=f"gpt-5-at-{vendor.dialect}")
    for message, answer in (("Hi", "First answer"), ("And?", "Second")):
        answers = chat.send_message_stream(message) if stream else [chat.send_message(message)]
        assert "".join(part.text or "" for part in answers) == answer
    assert vendor.refused == []
    assert '"First' in json.dumps(vendor.last)


@whole_and_streamed
def test_an_image_and_a_document_arrive(ask, vendor, stream):
    contents = [
        types.Part.from_text(text="What is this?"),
        types.Part.from_bytes(data=PIXEL, mime_type="image/png"),
        types.Part.from_bytes(data=b"%PDF-1.4\n\xff\xfe", mime_type="application/pdf"),
    ]
    parts, _, _ = ask(contents, stream=stream)
    assert (text_of(parts), vendor.refused) == ("Hello", [])
    sent = json.dumps(vendor.last).translate(str.maketrans("-_", "+/"))
    for data in (PIXEL, b"%PDF-1.4\n\xff\xfe"):
        assert base64.b64encode(data).decode() in sent


def test_structured_output_is_parsed(google, vendor):
    vendor.says(Completion('{"a": 5}'))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=SCHEMA)
    answer = google.models.generate_content(model=f"gpt-5-at-{vendor.dialect}", contents="Hi", config=config)
    assert (answer.parsed, vendor.refused) == ({"a": 5}, [])
    assert '"integer"' in json.dumps(vendor.last).replace("\\", "").lower()


@pytest.mark.parametrize(
    ("status", "code", "word"), [(429, 429, "RESOURCE_EXHAUSTED"), (400, 400, "INVALID_ARGUMENT"), (500, 500, "INTERNAL")]
)
@whole_and_streamed
def test_errors_are_googles(ask, vendor, stream, status, code, word):
    vendor.fails(status, "it is so")
    with pytest.raises(errors.APIError) as raised:
        ask(stream=stream)
    assert (raised.value.code, raised.value.status, raised.value.message) == (code, word, "it is so")


@pytest.mark.parametrize("breaks", ["error", "close"])
def test_a_broken_stream_raises(ask, vendor, breaks):
    vendor.says(Completion(PIECES, breaks=breaks))
    with pytest.raises(errors.APIError):
        ask(stream=True)


def test_tokens_are_counted(google):
    assert google.models.count_tokens(model="echo", contents="Hello there").total_tokens > 2


def test_models_are_listed_in_pages(google):
    pager = google.models.list(config={"page_size": 2})
    assert len(pager.page) == 2
    names = [model.name for model in pager]
    assert {"models/echo", "models/echo-anthropic"} <= set(names)
    assert len(names) == len(set(names))
    assert google.models.get(model="echo").supported_actions == ["generateContent", "countTokens"]
