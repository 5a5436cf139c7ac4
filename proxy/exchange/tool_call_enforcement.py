"""Tool-call enforcement around the attempts of one request: who asked for it, what was refused, and when to give up.

Every refused answer is an attempt of its own on the log row. The next one goes to the same target with a note that says what was
wrong; it takes the place of the note before it, so the conversation does not grow.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs

from django.conf import settings

from proxy.exchange.http_request import HttpRequest
from proxy.translation.canonical import Response
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.tool_call_rules import Enforcement, Rules, chosen, has_tools, switched
from upstreams.catalog.entries import ModelEntry

HEADER = "x-enforce-tool-call"
QUERY = "enforce_tool_call"


class ToolCallRejected(UpstreamFailed):
    """An answer without a tool call and without the flag. ``again``: the same target is asked once more."""

    def __init__(self, failure: Failure, *, again: bool) -> None:
        super().__init__(failure, retryable=again, answered=True)
        self.again = again


class ToolCallEnforcement:
    """What is enforced on one request, and how often an answer was refused."""

    def __init__(self, rules: Enforcement) -> None:
        self.rules = rules
        self.refused = 0
        self._reason = ""

    @property
    def correction(self) -> str:
        """The note on the last refused answer; empty before the first one."""
        return self.rules.correction(self._reason) if self.refused else ""

    def accepted(self, response: Response) -> Response:
        """The answer without the flag; raises :class:`ToolCallRejected`."""
        reason = self.rules.fault(response)
        if not reason:
            return self.rules.without_flag(response)
        self.refused += 1
        self._reason = reason
        again = self.refused <= self.rules.max_retries
        message = f"The model's answer was not accepted: {reason}"
        if not again:
            message = f"The model gave no tool call and no termination flag in {self.refused} attempts; of the last answer: {reason}"
        raise ToolCallRejected(Failure(kind="bad_gateway", message=message), again=again)


def enforcement_for(http: HttpRequest, envelope: Envelope, model: ModelEntry) -> ToolCallEnforcement | None:
    """The enforcement that header, query, model and settings ask for; raises :class:`ClientMistake` for a bad word."""
    rules = model.policies.rules
    if rules is None and not http.query_string and HEADER not in http.headers and not settings.PXBIN.enforce_tool_call_mode:
        return None
    words = parse_qs(http.query_string.decode("latin-1")).get(QUERY, [None])
    enforcement = chosen(
        header=_switched(http.headers.get(HEADER), f"header {HEADER}"),
        query=_switched(words[-1], QUERY),
        model=rules,
        settings=_settings(),
        has_tools=has_tools(envelope.fields),
    )
    return None if enforcement is None else ToolCallEnforcement(enforcement)


def _switched(word: str | None, where: str) -> bool | None:
    try:
        return switched(word)
    except ValueError as error:
        raise ClientMistake(f"{where}: {error}", param=where) from None


def _settings() -> Rules:
    config = settings.PXBIN
    policy: Literal["strict", "lenient"] = config.enforce_tool_call_empty_response_policy
    return Rules(
        enabled=config.enforce_tool_call_mode,
        termination_flag=config.enforce_tool_call_termination_flag or None,
        max_retries=config.enforce_tool_call_max_retries,
        guidance=config.enforce_tool_call_guidance or None,
        stream_chunk_delay_ms=config.enforce_tool_call_stream_chunk_delay_ms,
        empty_response_policy=policy,
    )
