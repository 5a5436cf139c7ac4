"""`manage.py translate`, run as a user runs it, and its functions for every pair."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from proxy.translation.dialects.registry import REGISTRY
from tests.support.gateway import clean_environment
from tests.support.wires import JUDGES

ROOT = Path(__file__).resolve().parent.parent.parent.parent
CASES = ROOT / "tests" / "cases"
MESSAGE = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


class Pipes(io.TextIOWrapper):
    """Standard input or output whose bytes the test holds."""

    def __init__(self, content: bytes = b"") -> None:
        self.held = io.BytesIO(content)
        super().__init__(self.held)


@pytest.fixture
def translate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, from bytes to bytes."""

    def run(content: bytes, *arguments: str) -> bytes:
        output = Pipes()
        monkeypatch.setattr(sys, "stdin", Pipes(content))
        monkeypatch.setattr(sys, "stdout", output)
        call_command("translate", *arguments)
        return output.held.getvalue()

    return run


@pytest.mark.slow
def test_a_request_goes_from_standard_input_to_standard_output(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "manage.py", "translate", "--from", "anthropic", "--to", "openai_chat", "--model", "gpt"],
        input=json.dumps(MESSAGE).encode(),
        cwd=ROOT,
        env=clean_environment(PXBIN_DATA_DIR=str(tmp_path)),
        capture_output=True,
        check=False,
    )
    expected = {"model": "gpt", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 9}
    assert (process.returncode, json.loads(process.stdout), process.stderr) == (0, expected, b"")


def test_a_mistake_is_one_line_with_its_path(translate: Any) -> None:
    body = {**MESSAGE, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]}
    with pytest.raises(CommandError) as caught:
        translate(json.dumps(body).encode(), "--from", "anthropic", "--to", "openai_chat")
    assert str(caught.value).startswith("messages.0.content.0: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quirks", ["{", '{"made_up": true}', "[]"])
def test_quirks_that_do_not_exist_are_refused(translate: Any, quirks: str) -> None:
    with pytest.raises(CommandError, match=r"^--quirks: "):
        translate(json.dumps(MESSAGE).encode(), "--from", "anthropic", "--to", "openai_chat", "--quirks", quirks)


def test_quirks_shape_the_request(translate: Any) -> None:
    arguments = ("--from", "anthropic", "--to", "openai_chat", "--quirks", '{"max_tokens_field": "max_tokens"}')
    assert json.loads(translate(json.dumps(MESSAGE).encode(), *arguments))["max_tokens"] == 9


@pytest.mark.parametrize("client", REGISTRY)
def test_responses_are_translated_whole_and_streamed(translate: Any, client: str) -> None:
    case = CASES / "openai_chat" / "plain-text"
    JUDGES[client].check_answer(translate((case / "response.json").read_bytes(), "--reply", "--from", "openai_chat", "--to", client))
    JUDGES[client].check_whole(translate((case / "stream.sse").read_bytes(), "--stream", "--from", "openai_chat", "--to", client))


def test_an_upstreams_error_is_printed(translate: Any) -> None:
    with pytest.raises(CommandError, match="so it goes"):
        translate(b'{"error": {"message": "so it goes"}}', "--reply", "--from", "openai_chat", "--to", "anthropic")
