"""kill -9 of the whole server in the middle of 200 requests: who got the last byte has one row, nobody has two."""

import asyncio
import os
from collections import Counter

import httpx
import pytest

from tests.support.gateway import Gateway

KILLS = 10 if os.environ.get("PXBIN_TEST_SIZE") == "proof" else 2
AT_ONCE = 200


async def ask(client: httpx.AsyncClient, gateway: Gateway, *, request_id: str, stream: bool, answered: set[str]) -> None:
    """One request; its id is in `answered` when the last byte has come."""
    body = {"model": "echo", "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": "hello there " * 20}]}
    try:
        answer = await client.post(f"{gateway.url}/v1/messages", json=body, headers={**gateway.client_headers, "x-request-id": request_id})
    except httpx.TransportError:
        return
    if answer.status_code == 200 and (not stream or "message_stop" in answer.text):
        answered.add(request_id)


async def until_killed(gateway: Gateway, *, round_: int, answered: set[str]) -> None:
    """Ask 200 times at once, and kill the server when about half have their answer."""

    begun = len(answered)

    async def ask_and_kill(**request) -> None:
        await ask(client, gateway, answered=answered, **request)
        if len(answered) == begun + AT_ONCE // 2:
            gateway.process.kill()

    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client, asyncio.TaskGroup() as group:
        for number in range(AT_ONCE):
            group.create_task(ask_and_kill(request_id=f"{round_}-{number}", stream=number % 2 == 0))


@pytest.mark.timeout(300)
async def test_every_answered_request_has_one_row():
    answered: set[str] = set()
    with Gateway.started() as gateway:
        for round_ in range(KILLS):
            await until_killed(gateway, round_=round_, answered=answered)
            gateway.kill()
            gateway.restart()
        rows = gateway.logs(len(answered), seconds=20)
    logged = Counter(row["request_id"] for row in rows)
    assert len(answered) >= KILLS * AT_ONCE // 2
    assert answered - set(logged) == set()
    assert set(logged.values()) == {1}
