"""``/me``: what the holder of a client key sees."""

import html
import re
from decimal import Decimal

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Budget
from pxbin_site.self_service import POLICY
from tests.support import memory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_memory():
    memory.forget()
    yield
    memory.forget()


def enter(key, **meta):
    return Client().post("/me", {"key": key}, **meta)


def test_the_page_asks_for_a_key():
    response = Client().get("/me")
    assert (response.status_code, response["Content-Security-Policy"], response["Cache-Control"]) == (200, POLICY, "no-store")
    assert 'name="key"' in response.content.decode()


def test_the_key_opens_its_own_page_and_is_not_in_it():
    plaintext, _ = keys.issue("llm", name="laptop", rate_limit=7, allowed_models=["echo", "claude-*"])
    response = enter(f" {plaintext} ")
    text = html.unescape(re.sub(r"\s+", " ", response.content.decode()))
    assert response.status_code == 200
    for shown in (
        "laptop", f"{plaintext[:8]}…", "<dt>Requests per minute</dt><dd>7</dd>", "<dt>Tokens per minute</dt><dd>unlimited</dd>",
        "The key may use: echo, claude-*.", "export ANTHROPIC_BASE_URL=http://testserver", "No requests in the last 30 days.",
    ):  # fmt: skip
        assert shown in text
    assert plaintext not in text


def test_what_is_left_of_its_budgets_is_shown():
    plaintext, row = keys.issue("llm", name="laptop")
    Budget.objects.create(scope="key", key=row, amount_usd=Decimal("12.5"), period="total")
    assert "$12.50 of $12.50 left" in enter(plaintext).content.decode()


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [({"is_active": False}, 403, "API key is deactivated"), ({"allowed_ips": ["10.0.0.0/8"]}, 403, "may not be used from 127.0.0.1")],
)
def test_a_key_that_requests_may_not_use_opens_nothing(fields, status, message):
    plaintext, _ = keys.issue("llm", name="secret name", **fields)
    response = enter(plaintext)
    assert (response.status_code, message in response.content.decode(), "secret name" in response.content.decode()) == (status, True, False)


@pytest.mark.parametrize("entered", ["", "pxb_" + "0" * 40, "nonsense"])
def test_an_unknown_key_is_refused(entered):
    response = enter(entered)
    assert (response.status_code, 'role="alert"' in response.content.decode()) == (401, True)
