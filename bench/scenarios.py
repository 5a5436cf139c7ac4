"""The scenarios and their requests."""

import json
from typing import Any

import msgspec

from bench.answers import CHAT, MESSAGES

_TERMINATORS = {CHAT: "data: [DONE]\n\n", MESSAGES: 'data: {"type":"message_stop"}\n\n'}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. The client uses the dialect of `path`, the upstream that of `upstream_path`."""

    name: str
    path: str
    upstream_path: str
    stream: bool = False
    mode: str = "burst"
    large: bool = False
    connections: int = 32
    share: float = 1.0
    """The part of `--requests` that is sent, at least one request per connection."""
    pause: float = 0.0
    """Seconds between a response and the next request of its connection."""

    @property
    def model(self) -> str:
        """The gateway's model with a route to the upstream."""
        return f"bench-{self.mode}-{'chat' if self.upstream_path == CHAT else 'messages'}"

    @property
    def terminator(self) -> str:
        """The end of the client's stream."""
        return _TERMINATORS[self.path] if self.stream else ""

    def body(self, path: str) -> bytes:
        """The request's body in the dialect of `path`."""
        body = _large(path) if self.large else _small()
        body |= {"model": self.model, "max_tokens": 1000} | ({"stream": True} if self.stream else {})
        return json.dumps(body).encode()


def request(path: str, body: bytes, *, key: str, port: int) -> bytes:
    """The bytes of an HTTP request."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"
        f"user-agent: bench\r\naccept: */*\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


SCENARIOS = (
    Scenario(name="messages to chat", path=MESSAGES, upstream_path=CHAT),
    Scenario(name="messages to chat, stream", path=MESSAGES, upstream_path=CHAT, stream=True),
    Scenario(name="messages to chat, stream, events apart", path=MESSAGES, upstream_path=CHAT, stream=True, mode="apart"),
    Scenario(name="chat to messages", path=CHAT, upstream_path=MESSAGES),
    Scenario(name="chat to messages, stream", path=CHAT, upstream_path=MESSAGES, stream=True),
    Scenario(name="chat to messages, stream, events apart", path=CHAT, upstream_path=MESSAGES, stream=True, mode="apart"),
    Scenario(name="chat passthrough", path=CHAT, upstream_path=CHAT),
    Scenario(name="chat passthrough, stream", path=CHAT, upstream_path=CHAT, stream=True),
    Scenario(name="messages passthrough", path=MESSAGES, upstream_path=MESSAGES),
    Scenario(name="messages passthrough, stream", path=MESSAGES, upstream_path=MESSAGES, stream=True),
    Scenario(name="200 KB with 20 tools, messages to chat", path=MESSAGES, upstream_path=CHAT, large=True, share=0.1),
    Scenario(name="200 KB with 20 tools, chat to messages", path=CHAT, upstream_path=MESSAGES, large=True, share=0.1),
    Scenario(name="200 slow streams at once", path=MESSAGES, upstream_path=CHAT, stream=True, mode="slow", connections=200, share=0.0),
)


def _small() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Please write fifty words about the sea, in one line."}]}


def _large(path: str) -> dict[str, Any]:
    """The conversation of an agent: 30 tool calls with results, 20 tools, about 200 KB."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "description": f"What the {name} of the thing shall be. " * 4} for name in "abcdef"},
        "required": ["a", "b"],
    }
    result = "".join(f"{number:4}: a line of a file that was read, with some text in it\n" for number in range(85))
    rounds: list[dict[str, Any]] = [{"role": "user", "content": "Please work on this."}]
    for number in range(30):
        arguments = {"a": f"file{number}.txt", "b": "x" * 200}
        rounds += (_chat_round if path == CHAT else _messages_round)(f"call_{number}", arguments, result)
    tools = [(f"tool_{number}", "A tool that does something useful with files. " * 4) for number in range(20)]
    if path == CHAT:
        return {
            "messages": rounds,
            "tools": [{"type": "function", "function": {"name": name, "description": text, "parameters": schema}} for name, text in tools],
        }
    return {"messages": rounds, "tools": [{"name": name, "description": text, "input_schema": schema} for name, text in tools]}


def _chat_round(call: str, arguments: dict[str, Any], result: str) -> list[dict[str, Any]]:
    function = {"name": "tool_1", "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "content": "I look.", "tool_calls": [{"id": call, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call, "content": result},
    ]


def _messages_round(call: str, arguments: dict[str, Any], result: str) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": call, "name": "tool_1", "input": arguments}
    return [
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": result}]},
    ]
