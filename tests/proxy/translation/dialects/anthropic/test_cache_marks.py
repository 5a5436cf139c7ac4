"""Cache breakpoints of encoded requests."""

from msgspec import Raw

from proxy.translation.canonical import (
    CacheMark,
    Message,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from proxy.translation.quirks import Quirks
from tests.proxy.translation.dialects.anthropic.samples import (
    MARK,
    canonical_request,
    encode_messages,
    encode_target,
    encoded,
)


class TestCacheMarks:
    def test_breakpoints_stay_where_the_client_set_them(self) -> None:
        body = encoded(
            canonical_request(
                Message("user", (Text("Hi", MARK),)),
                Message("assistant", (ToolCall("t1", "f", "{}", cache=MARK),)),
                Message("user", (ToolResult("t1", (Text("x"),), cache=MARK),)),
                family="anthropic",
                tools=(Tool(name="f", cache=MARK),),
            )
        )
        native = {"type": "ephemeral", "ttl": "1h"}
        assert body["tools"][0]["cache_control"] == native
        assert [turn["content"][0]["cache_control"] for turn in body["messages"]] == [native, native, native]

    def test_breakpoints_of_other_dialects_become_ephemeral(self) -> None:
        marked = Message("user", (Text("Hi", CacheMark(Raw(b'{"mode":"explicit","ttl":"30m"}'))),))
        assert encode_messages(marked) == [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}
        ]

    def test_of_more_than_four_breakpoints_the_last_four_stay(self) -> None:
        parts = tuple(Text(str(number), MARK) for number in range(3))
        body = encoded(canonical_request(Message("user", parts), system=(Text("s", MARK),), tools=(Tool(name="f", cache=MARK),)))
        assert "cache_control" not in body["tools"][0]
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert [("cache_control" in block) for block in body["messages"][0]["content"]] == [True, True, True]

    def test_the_automatic_breakpoint_counts_as_one_of_four(self) -> None:
        parts = tuple(Text(str(number), MARK) for number in range(4))
        body = encoded(canonical_request(Message("user", parts), family="anthropic", extra={"cache_control": Raw(b'{"type":"ephemeral"}')}))
        assert [("cache_control" in block) for block in body["messages"][0]["content"]] == [False, True, True, True]
        assert body["cache_control"] == {"type": "ephemeral"}

    def test_the_quirk_adds_an_automatic_breakpoint_if_the_client_set_none(self) -> None:
        to = encode_target(quirks=Quirks(automatic_cache=True))
        assert encoded(canonical_request(), to)["cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in encoded(canonical_request(Message("user", (Text("Hi", MARK),))), to)
