"""`serve` in an empty directory, which applies every migration itself; other tests begin with a migrated database."""

import httpx
import pytest

from tests.support.gateway import Gateway

pytestmark = pytest.mark.slow


def test_a_start_in_an_empty_directory_makes_the_database_and_answers_with_the_printed_key():
    with Gateway.started(migrated=False) as gateway:
        message = {"model": "echo", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
        response = httpx.post(f"{gateway.url}/v1/messages", json=message, headers=gateway.client_headers)
        assert (response.status_code, response.json()["content"]) == (200, [{"type": "text", "text": "Hello", "citations": None}])
        assert gateway.row_of(response.headers["x-request-id"])["model"] == "echo"
        assert "brought up to date" not in gateway.output


def test_a_start_with_a_migrated_database_reports_no_migration():
    with Gateway.started() as gateway:
        assert "brought up to date" not in gateway.output
