"""Conversations whose history holds what the release sealed. For `generate.py` alone; runs in a checkout of the release."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.release.playing import CALL, TARGETS, conversation, first, following, path_of, vendors_at
from tests.support.fake_upstream import Loop, json_reply
from tests.support.gateway import Gateway
from tests.support.vendor_wires import Completion
from tests.support.vendors import Vendor

THINKING = "Deep thought ☂ about it."
CLIENTS = ("anthropic", "openai_chat", "openai_responses", "bedrock")


def histories(gateway: Gateway, loop: Loop) -> list[dict[str, Any]]:
    """For each client and each upstream that thinks: the second request of the client, and what each upstream is sent of it."""
    with ExitStack() as running:
        vendors = running.enter_context(vendors_at(gateway, loop))
        cases = [_history(gateway, vendors, client, origin) for client in CLIENTS for origin in TARGETS if origin != "openai_responses-2"]
        cases += [_withheld(gateway, vendors), *_redacted(gateway, vendors), *_compacted(gateway, vendors)]
    return cases


def _post(gateway: Gateway, path: str, body: Any) -> Any:
    answer = gateway.http.post(gateway.url + path, headers=gateway.client_headers, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _case(gateway: Gateway, vendors: dict[str, Vendor], client: str, title: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request with a history to every upstream and note what that got."""
    received: list[tuple[list[str], Any]] = []
    for target in TARGETS:
        vendors[target].says(Completion("Well."))
        path, body = path_of(client, target, request)
        _post(gateway, path, body)
        sent_conversation = conversation(vendors[target].last)
        targets_alike = next((targets for targets, received_conversation in received if received_conversation == sent_conversation), None)
        if targets_alike is None:
            received.append(([target], sent_conversation))
        else:
            targets_alike.append(target)
    return {"title": title, "client": client, "request": request, "received": received}


def _history(gateway: Gateway, vendors: dict[str, Vendor], client: str, origin: str) -> dict[str, Any]:
    vendors[origin].says(Completion("I look.", calls=[CALL], thinking=THINKING))
    path, body = path_of(client, origin, first(client))
    answer = _post(gateway, path, body)
    return _case(gateway, vendors, client, f"thinking of {origin}", following(client, answer))


def _withheld(gateway: Gateway, vendors: dict[str, Vendor]) -> dict[str, Any]:
    """The client has thinking hidden: it is sent inside the seal."""
    vendors["openai_chat"].says(Completion("I look.", calls=[CALL], thinking=THINKING))
    request = {**first("anthropic"), "max_tokens": 9000, "thinking": {"type": "adaptive", "display": "omitted"}}
    path, body = path_of("anthropic", "openai_chat", request)
    return _case(gateway, vendors, "anthropic", "withheld thinking of openai_chat", following("anthropic", _post(gateway, path, body)))


def _redacted(gateway: Gateway, vendors: dict[str, Vendor]) -> list[dict[str, Any]]:
    """Thinking that Anthropic itself encrypts."""
    call = {"type": "tool_use", "id": CALL.id, "name": CALL.name, "input": {"a": 1}}
    blocks = [{"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}, call]
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": None}
    cases = []
    for client in ("openai_chat", "openai_responses"):
        vendors["anthropic"].says(json_reply({**head, "content": blocks, "usage": {"input_tokens": 5, "output_tokens": 2}}))
        path, body = path_of(client, "anthropic", first(client))
        cases.append(_case(gateway, vendors, client, "redacted thinking of anthropic", following(client, _post(gateway, path, body))))
    return cases


def _compacted(gateway: Gateway, vendors: dict[str, Vendor]) -> list[dict[str, Any]]:
    """Summaries of long conversations, in both ways in which a client asks for one."""
    vendors["anthropic"].says(Completion("The summary ☂ of it all."))
    request = {"model": "seal-anthropic", "input": [{"role": "user", "content": "A long story"}]}
    window = _post(gateway, "/v1/responses/compact", request)["output"]
    request["input"].append({"type": "compaction_trigger"})
    triggered = _post(gateway, "/v1/responses", request)["output"]
    going_on = {"role": "user", "content": "And then?"}
    return [
        _case(gateway, vendors, "openai_responses", title, {"input": [*items, going_on], "store": False})
        for title, items in (("compacted", window), ("compaction triggered", triggered))
    ]
