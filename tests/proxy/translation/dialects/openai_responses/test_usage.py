"""Counted tokens."""

from __future__ import annotations

import json

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.dialects.openai_responses.usage import WireUsage, decode_usage, encode_usage


def test_counted_tokens() -> None:
    assert json.loads(DIALECT.encode_count(12)) == {"object": "response.input_tokens", "input_tokens": 12}


def test_cache_writes_are_read_by_lifetime() -> None:
    details = {"cached_tokens": 10, "cache_write_tokens": 70, "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 50}}
    wire = msgspec.convert({"input_tokens": 100, "input_tokens_details": details, "output_tokens": 5}, WireUsage)
    usage = decode_usage(wire, "flex")
    assert usage == Usage(fresh=20, cache_read=10, cache_write_5m=20, cache_write_1h=50, output=5, service_tier="flex")
    assert msgspec.to_builtins(encode_usage(usage))["input_tokens_details"] == {"cached_tokens": 10, "cache_write_tokens": 70}
