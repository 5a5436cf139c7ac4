"""Tool call enforcement for one request: which rules apply, and which responses are rejected.

Every rejected response is an attempt in the log. The next attempt has the same target and a note about the reason, which
replaces the note of the attempt before, so that the conversation does not grow.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs

from accounts.common.gateway_config import config
from proxy.exchange.http_request import HttpRequest
from proxy.translation.canonical import Response
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.json_wire import Envelope
from proxy.translation.policies.tool_call_rules import Enforcement, Rules, choose_enforcement, has_tools, parse_switch
from upstreams.catalog.entries import ModelEntry

HEADER = "x-enforce-tool-call"
QUERY = "enforce_tool_call"


class ToolCallRejected(UpstreamFailed):
    """A response without a tool call and without the termination flag. ``retryable``: the same target is tried again."""

    def __init__(self, failure: Failure, *, retryable: bool) -> None:
        super().__init__(failure, retryable=retryable, answered=True)


class ToolCallEnforcement:
    """The rules for one request, and the number of responses that were rejected."""

    def __init__(self, rules: Enforcement) -> None:
        self.rules = rules
        self.rejected = 0
        self._reason = ""

    @property
    def correction(self) -> str:
        """The note about the last rejected response; empty if none was rejected."""
        return self.rules.correction(self._reason) if self.rejected else ""

    def accept(self, response: Response) -> Response:
        """The response without the termination flag; raises :class:`ToolCallRejected`."""
        reason = self.rules.fault(response)
        if not reason:
            return self.rules.without_flag(response)
        self.rejected += 1
        self._reason = reason
        retryable = self.rejected <= self.rules.max_retries
        message = f"The model's answer was not accepted: {reason}"
        if not retryable:
            message = f"The model gave no tool call and no termination flag in {self.rejected} attempts; of the last answer: {reason}"
        raise ToolCallRejected(Failure(kind="bad_gateway", message=message), retryable=retryable)


def enforcement_for(http: HttpRequest, envelope: Envelope, model: ModelEntry) -> ToolCallEnforcement | None:
    """The enforcement that header, query, model and settings demand; raises :class:`ClientMistake` for a value that is no switch."""
    rules = model.policies.rules
    if rules is None and not http.query_string and HEADER not in http.headers and not config().enforce_tool_call_mode:
        return None
    values = parse_qs(http.query_string.decode("latin-1")).get(QUERY, [None])
    enforcement = choose_enforcement(
        header=_decode_switch(http.headers.get(HEADER), f"header {HEADER}"),
        query=_decode_switch(values[-1], QUERY),
        model=rules,
        settings=_settings(),
        has_tools=has_tools(envelope.fields),
    )
    return None if enforcement is None else ToolCallEnforcement(enforcement)


def _decode_switch(value: str | None, location: str) -> bool | None:
    try:
        return parse_switch(value)
    except ValueError as error:
        raise ClientMistake(f"{location}: {error}", param=location) from None


def _settings() -> Rules:
    settings = config()
    policy: Literal["strict", "lenient"] = settings.enforce_tool_call_empty_response_policy
    return Rules(
        enabled=settings.enforce_tool_call_mode,
        termination_flag=settings.enforce_tool_call_termination_flag or None,
        max_retries=settings.enforce_tool_call_max_retries,
        guidance=settings.enforce_tool_call_guidance or None,
        stream_chunk_delay_ms=settings.enforce_tool_call_stream_chunk_delay_ms,
        empty_response_policy=policy,
    )
