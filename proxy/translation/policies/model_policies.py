"""What the operator wants changed in the requests of one model, as data, and the changes that need no wire.

A :class:`Policies` is made once for each model of a catalogue. Nothing in it depends on a clock or on chance, so that the same
conversation gives the same bytes in every turn (prompt caches and bound thinking blocks depend on it). Prompts, temperature
and limits are edited in the client's own fields (:mod:`prompt_edits`), before anything is translated: one set of edits
serves every pair of dialects. Fields of the body are merged into what goes up, in the words of the upstream's dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.policies.tool_call_rules import Rules

PROTECTED = frozenset({"model", "stream", "messages", "input"})
"""Fields of a body that routing and translation own; no default and no extension may name them."""

FIELDS = (
    "system_replacements", "system_append", "inject_progress", "temperature", "max_tokens_default", "max_tokens_cap",
    "max_output_tokens", "body_defaults", "body_extensions", "tool_enforcement", "buffer_tool_calls", "smooth_streaming",
)  # fmt: skip
"""A model's fields that are read here."""
PROMPT_FIELDS = ("system_replacements", "system_append", "inject_progress")
"""Those that change words of the conversation."""

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
    """The model's own maximum; it bounds a cap that stands in for an absent limit."""
    defaults: dict[str, msgspec.Raw] = {}
    extensions: dict[str, Any] = {}
    rules: Rules | None = None
    buffer_tool_calls: bool = False
    smooth_streaming: bool = False

    @property
    def shapes_stream(self) -> bool:
        """Whether the events of a stream are arranged anew."""
        return self.buffer_tool_calls or self.smooth_streaming

    def limit(self, given: int | None) -> int | None:
        """The limit of output tokens for a client that gave ``given``: its own or the default, under the cap.

        Without either, no limit would mean the model's maximum, so the cap itself is the limit.
        """
        wanted = given if given is not None else self.max_tokens_default
        if self.max_tokens_cap is None:
            return wanted
        if wanted is None:
            return self.max_tokens_cap if self.max_output_tokens is None else min(self.max_tokens_cap, self.max_output_tokens)
        return min(wanted, self.max_tokens_cap)


NONE = Policies()
"""The policies of most models; compared by identity on the hot path."""


def of(fields: Mapping[str, Any]) -> Policies:
    """The policies in a model's fields (named as in the management API); :data:`NONE` itself where there are none.

    Raises ``msgspec.ValidationError`` with the path of what is wrong in ``tool_enforcement``.
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


# --- the body that goes up -------------------------------------------------------------------------------------------


def merged_body(body: bytes, policies: Policies) -> bytes:
    """The encoded body with the model's defaults where a field is absent, and its extensions merged in.

    Objects are merged field by field; any other value of an extension replaces what was there. Untouched fields stay as they are.
    """
    if not policies.defaults and not policies.extensions:
        return body
    fields: dict[str, Any] = dict(_FIELDS.decode(body))
    for name, value in policies.defaults.items():
        fields.setdefault(name, value)
    for name, value in policies.extensions.items():
        known = fields.get(name)
        if isinstance(value, dict) and isinstance(known, msgspec.Raw):
            fields[name] = _merged(msgspec.json.decode(known), value)
        else:
            fields[name] = value
    return json_wire.encode(fields)


def _merged(known: Any, value: Any) -> Any:
    if not isinstance(known, dict) or not isinstance(value, dict):
        return value
    return known | {name: _merged(known[name], each) if name in known else each for name, each in value.items()}


# --- what an operator may not set ------------------------------------------------------------------------------------


def problems(fields: Mapping[str, Any]) -> dict[str, str]:
    """A sentence for each of a model's fields whose value makes no sense; empty when all is well."""
    found: dict[str, str] = {}
    for name in ("body_defaults", "body_extensions"):
        owned = sorted(PROTECTED & fields[name].keys()) if isinstance(fields[name], dict) else []
        if owned:
            found[name] = f"{', '.join(owned)}: set by the gateway itself, and not here."
    if isinstance(fields["tool_enforcement"], dict):
        try:
            msgspec.convert(fields["tool_enforcement"], Rules)
        except msgspec.ValidationError as error:
            found["tool_enforcement"] = f"{error}.".replace("`$.", "`")
    cap, default = fields["max_tokens_cap"], fields["max_tokens_default"]
    if cap is not None and default is not None and default > cap:
        found["max_tokens_default"] = f"The default is larger than the cap of {cap}."
    return found
