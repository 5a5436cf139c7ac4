"""Everything of today's code that these tests know by name: a rename of a module, a table or a column is noted here alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from billing.request_log.entry import AttemptEntry, LogEntry, PayloadEntry
from upstreams.secrets.vault import Ring

JOURNAL = {"Entry": LogEntry, "Attempt": AttemptEntry, "Payload": PayloadEntry}
"""What a line of the journal consists of, by the release's names."""
WORKER = "pxbin_site.processes.worker"
"""The module in which the worker's own task is made."""
TABLES: dict[str, str] = {}
"""Tables that have another name now, by the release's name."""
COLUMNS: dict[tuple[str, str], str | None] = {
    ("billing_requestpayload", "request_body"): "client_body",
    ("billing_requestpayload", "response_body"): "delivered_answer",
}
"""Columns that have another name now, by the release's names of table and column; None: a migration has dropped or rewritten it."""

LOGS, PAYLOADS, RESPONSES = "billing_requestlog", "billing_requestpayload", "billing_storedresponse"
CREDENTIALS, UPSTREAMS = "upstreams_upstreamcredential", "upstreams_upstream"


def table(name: str) -> str:
    """Today's name of a table of the release."""
    return TABLES.get(name, name)


def column(of_table: str, name: str) -> str | None:
    """Today's name of a column of the release."""
    return COLUMNS.get((of_table, name), name)


def opened(stored: str, passphrase: str) -> str:
    """A stored secret in plain text."""
    return Ring([passphrase]).decrypt(stored)


def rewritten_line(line: bytes) -> dict[str, Any]:
    """A line of the journal, read and written by today's code."""
    value: dict[str, Any] = json.loads(msgspec.json.encode(msgspec.json.decode(line, type=LogEntry)))
    return value


def journal_keys(kind: str) -> set[str]:
    """The keys under which today's code writes a part of a line."""
    return {field.encode_name for field in msgspec.structs.fields(JOURNAL[kind])}
