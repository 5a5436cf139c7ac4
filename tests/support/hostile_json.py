"""Strategies for JSON texts that parsers read differently, or that are no JSON at all: for fuzz tests of request bodies."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

ATOMS = [
    b"NaN", b"-Infinity", b"1e999", b"-1e999", b"9" * 400, b"-0", b"1.0", b"0.5", b"-1", b"1e2", b"01",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\u0000"', b'"\\x"', b'"', b'"a\nb"',
    b"null", b"true", b"false", b'""', b'"x"', b"[]", b"{}", b"[null]", b"[[]]", b'["a"]', b'[{"type":null}]', b'{"type":"text"}',
    b'{"a":1e999}', b'[{"a":"\xff"}]', b'{"a":1,"a":2}', b"[" * 5000 + b"]" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000,
]  # fmt: skip
"""Values of every type, at the bounds of what JSON and its parsers allow."""
KEYS = ["model", "MODEL", "Model ", "mode\u017f", "stream", "stream_options", "messages", "input", "tools", "metadata", "system", "x"]


def _places(value: Any) -> list[tuple[Any, Any]]:
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [position for key, inner in pairs for position in ((value, key), *_places(inner))]


@st.composite
def hostile_bodies(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """One of the ``bodies`` with up to three values replaced by :data:`ATOMS`, and perhaps a key that is doubled or spelled otherwise."""
    body = json.loads(draw(st.sampled_from(bodies)))
    atoms = draw(st.lists(st.sampled_from(ATOMS), max_size=3))
    for number in range(len(atoms)):
        places = _places(body)
        if places:
            holder, key = draw(st.sampled_from(places))
            holder[key] = f"<atom {number}>"
    text = json.dumps(body, ensure_ascii=draw(st.booleans())).encode()
    for number, atom in enumerate(atoms):
        text = text.replace(b'"<atom %d>"' % number, atom)
    if draw(st.integers(0, 3)) == 0:
        name = json.dumps(draw(st.sampled_from(KEYS)), ensure_ascii=draw(st.booleans())).encode()
        text = text.rstrip()[:-1] + b"," + name + b":" + draw(st.sampled_from(ATOMS)) + b"}"
    return text


def strict_json(text: bytes) -> Any:
    """The value of a text that every JSON parser accepts; raises ``ValueError`` for any other text."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    value = json.loads(text.decode(), parse_constant=refuse)
    json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return value
