"""How a client labels its requests: tags, sessions and traces, from headers and from the field ``metadata`` of the body.

Only the tag keys that ``PXBIN_TAG_KEYS`` declares are read. The value comes from the metadata of the client key, so that nobody can
book on another team's account; else from the header ``x-pxbin-tag-<key>``, in which ``_`` is written ``-``; else from the field of
that name in ``metadata`` (any of OpenAI's, ``user_id`` of Anthropic's).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from accounts.common.gateway_config import config
from accounts.keys import MAX_TAG, Key
from billing.request_log.bounds import clean_text
from proxy.translation.json_wire import Envelope

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id", "ah-thread-id")
"""Headers in which agents name the session of a request (Claude Code, Codex, others, axonhub)."""
TRACE_HEADERS = ("x-trace-id", "ah-trace-id", "traceparent")
"""Headers that name the trace of a request; the last one is that of W3C Trace Context."""
TAG_HEADER = "x-pxbin-tag-"
_SESSION_NAMES, _TRACE_NAMES = frozenset(SESSION_HEADERS), frozenset(TRACE_HEADERS)

_LONGEST = 256
_TRACEPARENT_FIELDS = 4
_metadata = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _AgentIdentity(msgspec.Struct):
    """What Claude Code writes as JSON into ``metadata.user_id``."""

    device_id: str = ""
    account_uuid: str = ""
    session_id: str = ""


_agent_identity = msgspec.json.Decoder(_AgentIdentity)


def named_session(headers: Mapping[str, str]) -> str:
    """The session that a header names; empty if none does."""
    if _SESSION_NAMES.isdisjoint(headers.keys()):
        return ""
    for name in SESSION_HEADERS:
        value = headers.get(name)
        if value:
            return value[:_LONGEST]
    return ""


def named_trace(headers: Mapping[str, str]) -> str:
    """The trace that a header names; empty if none does."""
    if _TRACE_NAMES.isdisjoint(headers.keys()):
        return ""
    for name in TRACE_HEADERS:
        value = headers.get(name)
        if value:
            parts = value.split("-")
            return parts[1] if name == "traceparent" and len(parts) >= _TRACEPARENT_FIELDS else value[:_LONGEST]
    return ""


def split_user_id(user_id: str) -> tuple[str, str]:
    """The person and the session in Anthropic's ``metadata.user_id``; the session is empty if the text names none.

    Claude Code writes a JSON object (``device_id``, ``account_uuid``, ``session_id``), earlier versions
    ``user_<device>_account_<account>_session_<session>``.
    """
    if user_id.startswith("{"):
        try:
            identity = _agent_identity.decode(user_id)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return user_id, ""
        return identity.account_uuid or identity.device_id or user_id, identity.session_id
    person, separator, session = user_id.rpartition("_session_")
    return (person, session) if separator else (user_id, "")


def tags(headers: Mapping[str, str], envelope: Envelope, key: Key) -> dict[str, str] | None:
    """The declared tags of a request with their values; ``None`` if it has none."""
    declared = _declared(config().tag_keys)
    if not declared:
        return None
    values = dict(key.tags)
    missing = []
    for tag_key, header in declared:
        if tag_key not in values:
            value = headers.get(header)
            if value:
                values[tag_key] = clean_text(value.strip(), MAX_TAG)
            else:
                missing.append(tag_key)
    metadata = envelope.fields.get("metadata")
    if missing and metadata is not None:
        values |= _body_tags(metadata, missing)
    return {tag_key: value for tag_key, value in values.items() if value} or None


@lru_cache(maxsize=1)
def _declared(tag_keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The declared keys with their headers."""
    return tuple((tag_key, TAG_HEADER + tag_key.replace("_", "-")) for tag_key in tag_keys)


def _body_tags(metadata: msgspec.Raw, tag_keys: list[str]) -> dict[str, str]:
    """The texts of these fields of ``metadata``; none of one that is no object, which the dialect refuses, or the upstream does."""
    try:
        fields = _metadata.decode(metadata)
        texts = {tag_key: msgspec.json.decode(fields[tag_key]) for tag_key in tag_keys if tag_key in fields}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if "user_id" in texts and isinstance(texts["user_id"], str):
        texts["user_id"] = split_user_id(texts["user_id"])[0]
    return {tag_key: clean_text(text.strip(), MAX_TAG) for tag_key, text in texts.items() if isinstance(text, str)}
