"""Counted tokens."""

from __future__ import annotations

import json

from proxy.translation.dialects.openai_responses.dialect import DIALECT


def test_counted_tokens() -> None:
    assert json.loads(DIALECT.encode_count(12)) == {"object": "response.input_tokens", "input_tokens": 12}
