"""Fills an installation of the release through its own interfaces. For `generate.py` alone; runs in a checkout of the release."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.fake_upstream import FakeUpstream, Loop, event, json_reply, sse
from tests.support.gateway import Gateway

UNUSED_URL = "http://127.0.0.1:9"
"""An address where nothing listens: where every upstream leads when the files are written."""
DIALECTS = {
    "openai_chat": "openai",
    "anthropic": "anthropic",
    "openai_responses": "openai_responses",
    "openai_responses-2": "openai_responses",
    "bedrock": "bedrock",
}
WELL = json_reply(
    {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1}},
    }
)  # fmt: skip
FULL_UPSTREAM = {
    "name": "full", "base_url": UNUSED_URL, "api_key": "sk-full-first", "format": "openai", "region": "eu-west-1", "priority": 7,
    "auth_header": "x-own-key", "auth_scheme": "Token", "extra_headers": {"x-team": "a team"}, "connect_timeout_seconds": 1.5,
    "first_byte_timeout_seconds": 20.25, "idle_timeout_seconds": 30.5, "max_retries": 0, "retry_base_delay_ms": 15,
    "cooldown_seconds": 2.5, "test_model": "remote-test", "quirks": {"tool_name_limit": 40, "efforts": ["low"]},
    "capabilities": {"images": False},
}  # fmt: skip
FULL_MODEL = {
    "name": "full-*", "display_name": "Full ☂", "provider": "maker", "aliases": ["alias-a", "alias-*"], "context_window": 200000,
    "max_output_tokens": 8000, "path_prefix": "/team-a", "strategy": "weighted", "fallbacks": ["echo"], "timeout_seconds": 60.5,
    "cooldown_seconds": 1.25, "hedge_after_ms": 900, "allow_anonymous": True, "max_tokens_default": 100, "max_tokens_cap": 200,
    "temperature": 0.25, "system_replacements": {"old": "new"}, "system_append": "Be brief.", "inject_progress": True,
    "body_defaults": {"top_p": 0.5}, "body_extensions": {"metadata": {"a": "b"}},
    "tool_enforcement": {"enabled": True, "termination_flag": "DONE", "max_retries": 2, "guidance": "Say {flag}",
                         "stream_chunk_delay_ms": 1, "empty_response_policy": "lenient"},
    "repair_tool_history": False, "buffer_tool_calls": True, "smooth_streaming": True, "quirks": {"no_stop": True},
    "input_cost_per_million": 1.5, "output_cost_per_million": 2.25,
}  # fmt: skip


def keys(gateway: Gateway) -> dict[str, str]:
    """Keys of every kind; in plain text by their names."""
    limits = {"rate_limit": 60, "token_limit": 100000, "concurrency_limit": 5, "allowed_models": ["echo*", "seal-*"]}
    key_fields: list[dict[str, Any]] = [
        {"name": "limited", **limits, "may_choose_upstream": True, "metadata": {"team": "ü", "n": 1}, "expires_at": "2099-12-31T23:59:59Z"},
        {"name": "disabled", "allowed_models": []},
        {"name": "expired"},
        {"name": "reader", "type": "management", "permissions": ["read"], "metadata": {"who": "a script"}},
        {"name": "disabled management", "type": "management", "permissions": ["read", "write"]},
    ]
    issued_keys = {fields["name"]: gateway.api("POST", "/keys", json=fields) for fields in key_fields}
    for name, fields in {
        "disabled": {"is_active": False},
        "disabled management": {"is_active": False},
        "expired": {"expires_at": "2026-01-01T00:00:00Z"},
    }.items():
        gateway.api("PATCH", f"/keys/{issued_keys[name]['id']}", json=fields)
    return {name: issued["key"] for name, issued in issued_keys.items()}


def catalogue(gateway: Gateway, loop: Loop) -> dict[str, str]:
    """Upstreams of all dialects with their models; the secrets of their credentials by "upstream/credential"."""
    secrets = {"full/default": "sk-full-first", "full/second": "sk-full-second", "full/refused": "sk-full-refused"}
    full = gateway.api("POST", "/upstreams", json=FULL_UPSTREAM)["id"]
    for name in ("second", "refused"):
        gateway.api("POST", "/credentials", json={"upstream_id": full, "name": name, "api_key": f"sk-full-{name}", "priority": 3})
    model = gateway.api("POST", "/models", json=FULL_MODEL | {"upstream_id": full, "remote_name": "remote-*"})["id"]
    for name, dialect in DIALECTS.items():
        upstream_fields = {"base_url": UNUSED_URL, "format": dialect, "api_key": f"sk-{name}", "priority": 20}
        if name == "bedrock":
            upstream_fields |= {"region": "us-east-1", "access_key_id": "AKIATEST", "api_key": "aws-secret"}
        upstream = gateway.api("POST", "/upstreams", json={"name": name, **upstream_fields})["id"]
        secrets[f"{name}/default"] = str(upstream_fields["api_key"])
        gateway.api("POST", "/models", json={"name": f"seal-{name}", "upstream_id": upstream, "remote_name": "remote"})
    route = {"model_id": model, "upstream_id": upstream, "remote_name": "r*", "priority": 2, "weight": 30, "is_active": False}
    gateway.api("POST", "/routes", json=route | {"context_window": 1000, "capabilities": {"tools": False}})
    three = gateway.api("POST", "/upstreams", json={"name": "three keys", "base_url": UNUSED_URL, "priority": 30})["id"]
    for number in (1, 2, 3):
        secrets[f"three keys/three-{number}"] = f"sk-three-{number}"
        gateway.api("POST", "/credentials", json={"upstream_id": three, "name": f"three-{number}", "api_key": f"sk-three-{number}"})
    gateway.api("POST", "/models", json={"name": "three", "upstream_id": three})
    gateway.api("POST", "/upstreams", json={"name": "any", "base_url": UNUSED_URL, "format": "passthrough", "is_active": False})
    gateway.api(
        "POST", "/upstreams", json={"name": "theirs", "base_url": UNUSED_URL, "format": "anthropic", "pass_client_credentials": True}
    )
    _discovered(gateway, loop)
    deleted_id = gateway.api("POST", "/models", json={"name": "deleted"})["id"]
    gateway.api("PATCH", f"/models/{deleted_id}", json={"provider": "changed once"})
    gateway.api("DELETE", f"/models/{deleted_id}")
    return secrets


def _discovered(gateway: Gateway, loop: Loop) -> None:
    """An upstream that listed two models, and later one of them."""
    fake = FakeUpstream(loop)
    two = [{"id": "listed-1", "owned_by": "maker", "context_length": 64000}, {"id": "listed-2"}]
    fake.reply(json_reply({"data": two}), json_reply({"data": two[:1]}))
    upstream = gateway.api("POST", "/upstreams", json={"name": "listing", "base_url": fake.url, "api_key": "sk-listing"})["id"]
    gateway.api("POST", f"/upstreams/{upstream}/discover")
    gateway.api("POST", f"/upstreams/{upstream}/discover")
    gateway.api("PATCH", f"/upstreams/{upstream}", json={"base_url": UNUSED_URL, "is_active": False})
    fake.stop()


def admin(gateway: Gateway) -> str:
    """Log in as a person does and change an upstream's key there; the session's cookie."""
    with httpx.Client(base_url=gateway.url, follow_redirects=True, timeout=30) as browser:
        login = browser.get("/admin/login/")
        form = {"csrfmiddlewaretoken": _token(login.text), "username": gateway.admin_name, "password": gateway.admin_password}
        assert "Log out" in browser.post("/admin/login/", data=form, headers={"referer": str(login.url)}).text
        page = browser.get("/admin/billing/price/add/")
        form = {"csrfmiddlewaretoken": _token(page.text), "name": "priced-by-hand", "input": "0.25", "tiers": "{}", "is_active": "on"}
        response = browser.post("/admin/billing/price/add/", data=form, headers={"referer": str(page.url)})
        assert "was added successfully" in response.text, response.text
        return str(browser.cookies["sessionid"])


def _token(page: str) -> str:
    match = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert match
    return match[1]


def traffic(gateway: Gateway, loop: Loop, limited: str) -> None:
    """Requests of all four outcomes, one of them with several tries."""
    ask(gateway, "echo", "finished")
    ask(gateway, "echo-anthropic", "finished, streamed", stream=True)
    ask(gateway, "echo", "finished", key=limited)
    ask(gateway, "nobody-knows-this", "rejected")
    ask(gateway, "echo", "rejected", key="pxb_" + "0" * 40)
    ask(gateway, "seal-openai_chat", "failed: nobody listens there")
    _several_tries(gateway, loop)
    _cancelled(gateway, loop)


def spooled_traffic(gateway: Gateway, loop: Loop, *, wait: Callable[[], None]) -> None:
    """The same in other order, in several segments."""
    for request in (
        lambda: ask(gateway, "echo", "spooled"),
        lambda: ask(gateway, "nobody-knows-this", "rejected"),
        lambda: (_several_tries(gateway, loop), _cancelled(gateway, loop)),
    ):
        request()
        wait()


def _several_tries(gateway: Gateway, loop: Loop) -> None:
    """The first key is out of money, the second one cools down, the third one answers."""
    with redirected(gateway, "three keys", loop) as fake:
        over = json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "1"})
        fake.reply(over, over, WELL)
        tools = [{"type": "web_search_20250305", "name": "web_search"}]  # dropped on the way to Chat Completions
        answer = ask(gateway, "three", "several tries", tools=tools, headers={"x-claude-code-session-id": "session-0"})
        assert (answer.status_code, len(fake.requests)) == (200, 3), answer.text


def _cancelled(gateway: Gateway, loop: Loop) -> None:
    """The client leaves while the answer is streamed."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    delta = event({**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a beginning"}, "finish_reason": None}]})
    with redirected(gateway, "openai_chat", loop) as fake:
        fake.reply(sse(delta, 30.0))
        body = {"model": "seal-openai_chat", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "cancelled"}]}
        with gateway.http.stream("POST", f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body, timeout=30) as answer:
            next(line for line in answer.iter_lines() if "a beginning" in line)
        assert fake.requests[0].left_early.wait(10)


def stored_turns(gateway: Gateway, loop: Loop) -> str:
    """Two turns that the gateway keeps for `previous_response_id`; the second one's id."""
    previous: dict[str, str] = {}
    for text in ("first turn", "second turn"):
        body = {"model": "echo", "input": text, "store": True, **previous}
        answer = gateway.http.post(f"{gateway.url}/v1/responses", headers=gateway.client_headers, json=body, timeout=30)
        previous = {"previous_response_id": answer.json()["id"]}
    return previous["previous_response_id"]


def ask(gateway: Gateway, model: str, text: str, *, key: str = "", headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    """One request body of the Messages API."""
    body = {"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": text}], **fields}
    sent_headers = {"x-api-key": key or gateway.client_key, "user-agent": "generator/1", **(headers or {})}
    return gateway.http.post(f"{gateway.url}/v1/messages", headers=sent_headers, json=body, timeout=30)


class redirected:  # noqa: N801  (used as a function)
    """Within the context, an upstream of the catalogue leads to a fake one."""

    def __init__(self, gateway: Gateway, name: str, loop: Loop) -> None:
        self.gateway, self.fake = gateway, FakeUpstream(loop)
        self.id = next(row["id"] for row in gateway.api("GET", "/upstreams") if row["name"] == name)

    def __enter__(self) -> FakeUpstream:
        self.gateway.api("PATCH", f"/upstreams/{self.id}", json={"base_url": self.fake.url})
        return self.fake

    def __exit__(self, *_: object) -> None:
        self.gateway.api("PATCH", f"/upstreams/{self.id}", json={"base_url": UNUSED_URL})
        self.fake.stop()
