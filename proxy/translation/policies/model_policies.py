"""The changes that a model's settings make to its requests, and those of them that are the same in every dialect.

A :class:`Policies` is made once for each model of a catalogue. It depends on no clock and no randomness, so that the same
conversation gives the same bytes in every turn: prompt caches and signed thinking blocks depend on that. Prompts, temperature
and limits are edited in the client's own fields (:mod:`prompt_edits`) before the translation, so one set of edits serves every
pair of dialects. Body defaults and extensions are merged into the encoded body, in the upstream's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.policies.tool_call_rules import Rules
from proxy.translation.type_errors import explain

PROTECTED = frozenset({"model", "stream", "messages", "input"})
"""Fields of a body that only routing and translation set; defaults and extensions must not name them."""

SAMPLING = frozenset({"temperature", "top_p", "top_k"})
"""Fields of a body that some upstreams refuse."""

FIELDS = (
    "system_replacements", "system_append", "inject_progress", "temperature", "max_tokens_default", "max_tokens_cap",
    "max_output_tokens", "body_defaults", "body_extensions", "tool_enforcement", "buffer_tool_calls", "smooth_streaming",
)  # fmt: skip
"""The fields of a model that :func:`policies_from` reads."""
PROMPT_FIELDS = ("system_replacements", "system_append", "inject_progress")
"""The fields that change texts of the conversation."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """The policies of one model. ``replacements`` are applied in order; empty values and ``None`` mean none."""

    replacements: tuple[tuple[str, str], ...] = ()
    append: str = ""
    inject_progress: bool = False
    temperature: float | None = None
    max_tokens_default: int | None = None
    max_tokens_cap: int | None = None
    max_output_tokens: int | None = None
    """The maximum of the model. It bounds the cap where the cap replaces a missing limit."""
    defaults: dict[str, msgspec.Raw] = {}
    extensions: dict[str, Any] = {}
    rules: Rules | None = None
    buffer_tool_calls: bool = False
    smooth_streaming: bool = False

    @property
    def shapes_stream(self) -> bool:
        """Whether the events of a stream are buffered or split."""
        return self.buffer_tool_calls or self.smooth_streaming

    def limit(self, client_limit: int | None) -> int | None:
        """The limit of output tokens: the client's, else the default, at most the cap.

        Without a client's limit and a default the cap itself is the limit, since no limit would mean the model's maximum.
        """
        wanted = client_limit if client_limit is not None else self.max_tokens_default
        if self.max_tokens_cap is None:
            return wanted
        if wanted is None:
            return self.max_tokens_cap if self.max_output_tokens is None else min(self.max_tokens_cap, self.max_output_tokens)
        return min(wanted, self.max_tokens_cap)


NONE = Policies()
"""No policies. Compared by identity on the hot path."""


def policies_from(fields: Mapping[str, Any]) -> Policies:
    """The policies in a model's fields, which are named as in the management API; :data:`NONE` where there are none.

    Raises ``msgspec.ValidationError`` with the path of a wrong value in ``tool_enforcement``.
    """
    policies = Policies(
        replacements=tuple((old, new) for old, new in fields["system_replacements"].items() if old),
        append=fields["system_append"].strip("\n"),
        inject_progress=fields["inject_progress"],
        temperature=fields["temperature"],
        max_tokens_default=fields["max_tokens_default"],
        max_tokens_cap=fields["max_tokens_cap"],
        defaults={name: msgspec.Raw(json_wire.encode(value)) for name, value in fields["body_defaults"].items()},
        extensions=fields["body_extensions"],
        rules=msgspec.convert(fields["tool_enforcement"], Rules) if fields["tool_enforcement"] else None,
        buffer_tool_calls=fields["buffer_tool_calls"],
        smooth_streaming=fields["smooth_streaming"],
    )
    if policies == NONE:
        return NONE
    return msgspec.structs.replace(policies, max_output_tokens=fields["max_output_tokens"])


# --- the body for the upstream -------------------------------------------------------------------------------------------


def merged_body(body: bytes, policies: Policies, *, sampling: bool = True) -> bytes:
    """The encoded body with the model's defaults for missing fields, and its extensions merged in.

    Objects are merged field by field; any other value of an extension replaces the field. Other fields keep their bytes.
    ``sampling``: the upstream accepts the fields in :data:`SAMPLING`; if not, they are not added.
    """
    if not policies.defaults and not policies.extensions:
        return body
    fields: dict[str, Any] = dict(_FIELDS.decode(body))
    for name, value in policies.defaults.items():
        if sampling or name not in SAMPLING:
            fields.setdefault(name, value)
    for name, value in policies.extensions.items():
        if not sampling and name in SAMPLING:
            continue
        current = fields.get(name)
        if isinstance(value, dict) and isinstance(current, msgspec.Raw):
            fields[name] = _merge(json_wire.decode_value(current, at=name), value)
        else:
            fields[name] = value
    return json_wire.encode(fields)


def _merge(current: Any, extension: Any) -> Any:
    if not isinstance(current, dict) or not isinstance(extension, dict):
        return extension
    return current | {name: _merge(current[name], value) if name in current else value for name, value in extension.items()}


# --- validation ------------------------------------------------------------------------------------


def find_problems(fields: Mapping[str, Any]) -> dict[str, str]:
    """An error message for each field of a model with an invalid value, by the name of the field."""
    messages: dict[str, str] = {}
    for name in ("body_defaults", "body_extensions"):
        owned = sorted(PROTECTED & fields[name].keys()) if isinstance(fields[name], dict) else []
        if owned:
            messages[name] = f"{', '.join(owned)}: the gateway sets this itself."
    if isinstance(fields["tool_enforcement"], dict):
        try:
            msgspec.convert(fields["tool_enforcement"], Rules)
        except msgspec.ValidationError as error:
            message, path = explain(error)
            messages["tool_enforcement"] = f"{path}: {message}."
    cap, default = fields["max_tokens_cap"], fields["max_tokens_default"]
    if cap is not None and default is not None and default > cap:
        messages["max_tokens_default"] = f"The default is larger than the cap of {cap}."
    return messages
