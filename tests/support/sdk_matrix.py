"""What becomes of every element of the vendors' request types in every translation, found out by translating samples.

``make translation-table`` writes it into docs/translation.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as MessagesParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as ChatParams
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming as ResponsesParams

from proxy.exchange.prepare import Prepared, Preparer
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from tests.support import sdk_contexts
from tests.support.sdk_samples import Element, elements

KEY = b"the secret of the table"
DEFAULTS = frozenset(
    {
        ("detail", "auto"),
        ("format", '{"type": "text"}'),
        ("response_format", '{"type": "text"}'),
        ("include_usage", "true"),
        ("caller", '{"type": "direct"}'),
        ("include[]", "reasoning.encrypted_content"),
        ("truncation", "disabled"),
        ("strict", "false"),
    }
)
"""Values that say what happens anyway: plain text, the usage that every stream reports, reasoning that comes back."""


VERDICTS = frozenset({"carried", "moved", "dropped", "refused", "default"})


class Client(msgspec.Struct, frozen=True):
    """A dialect with the SDK's type of its requests; ``complete`` puts an incomplete sample into a valid conversation."""

    dialect: str
    params: Any
    complete: Callable[[dict[str, Any]], dict[str, Any]]


CLIENTS = (
    Client("anthropic", MessagesParams, sdk_contexts.complete_messages),
    Client("bedrock", MessagesParams, sdk_contexts.complete_invocation),
    Client("openai_chat", ChatParams, sdk_contexts.complete_chat),
    Client("openai_responses", ResponsesParams, sdk_contexts.complete_responses),
)


def prepared(client: Client, body: dict[str, Any], target: str) -> Prepared:
    """The request of ``client`` with ``body``, made ready for an upstream of ``target`` without quirks.

    The upstream streams and the client does not, so that a body of its own dialect is encoded anew, too.
    """
    dialect = REGISTRY[client.dialect]
    raw = json.dumps(client.complete(json.loads(json.dumps(body))), separators=(",", ":")).encode()
    destination = EncodeTarget(model="upstream-model", dialect=target, upstream="up-1", stream=True)
    return Preparer(dialect, dialect.open_for_model(raw, "m"), KEY).prepare(REGISTRY[target], destination)


def verdict(client: Client, element: Element, target: str) -> str:
    """``carried``, ``moved``, ``refused``, ``dropped``, ``default``; ``lost``: dropped and not in the list of the log row."""
    try:
        with_element = prepared(client, element.value, target)
    except ClientMistake as mistake:
        return "refused" if mistake.failure.param else "refused without a name"
    try:
        other = prepared(client, element.other, target).body
    except ClientMistake:
        other = b""
    if with_element.body != other:
        return "carried" if all(trace in with_element.body.decode() for trace in _traces(element)) else "moved"
    if _is_noted(element.path, element.sample, with_element.dropped):
        return "dropped"
    value = element.sample if isinstance(element.sample, str) else json.dumps(element.sample)
    return "default" if (element.path.rpartition(".")[2], value) in DEFAULTS else "lost"


def _is_noted(path: str, sample: Any, dropped: tuple[str, ...]) -> bool:
    """Whether the log row names an element, what it is a part of, or all of its parts."""
    if any(path == noted or path.startswith((f"{noted}.", f"{noted}[")) for noted in dropped):
        return True
    return isinstance(sample, dict) and bool(sample) and all(_is_noted(f"{path}.{name}", value, dropped) for name, value in sample.items())


def _traces(element: Element) -> list[str]:
    """What the target's body contains if it has the value of an element."""
    if isinstance(element.sample, bool | int | float):
        return [f'"{element.path.rpartition(".")[2]}":{json.dumps(element.sample)}']
    return [json.dumps(text)[1:-1] for text in _texts(element.sample)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("type", "role"):
                yield from _texts(item)


def targets(dialect: str) -> list[str]:
    """The dialects into which requests of ``dialect`` are translated."""
    return [name for name in REGISTRY if name != dialect]


@cache
def judged_once(dialect: str) -> dict[str, dict[str, set[str]]]:
    """:func:`judged` for the client of a dialect; it takes seconds."""
    return judged(next(client for client in CLIENTS if client.dialect == dialect))


def lost_within(dialect: str) -> set[tuple[str, str]]:
    """The elements, with their verdict, that a body of ``dialect`` loses without a trace if it is encoded anew for its own dialect."""
    client = next(client for client in CLIENTS if client.dialect == dialect)
    verdicts = {(element.name, verdict(client, element, dialect)) for element in elements(client.params)}
    return {(name, single) for name, single in verdicts if single not in VERDICTS}


def judged(client: Client) -> dict[str, dict[str, set[str]]]:
    """The verdicts of each element by its name and the target; several where they depend on the place or the value."""
    verdicts_by_name: dict[str, dict[str, set[str]]] = {}
    for element in elements(client.params):
        verdicts = verdicts_by_name.setdefault(element.name, {target: set() for target in targets(client.dialect)})
        for target in verdicts:
            verdicts[target].add(verdict(client, element, target))
    return verdicts_by_name
