"""Compact JSON text: the same values in no more characters than needed."""

import pytest

from proxy.translation.json_wire import compact

TEXTS = {
    "white space": (b'{ "b" : 1,\n "a" : [ 1.0, 1e5 ] }', '{"b":1,"a":[1.0,1e5]}'),
    "letters as escapes": (rb'{"city":"Z\u00fcrich \ud83d\ude00 \u003cb\u003e"}', '{"city":"Z\u00fcrich \U0001f600 <b>"}'),
    "escapes that JSON needs": (rb'["\u0000\u001f\u0022\u005c\n\""]', r'["\u0000\u001f\u0022\u005c\n\""]'),
    "a backslash before a u": (rb'["C:\\u00fcber"]', r'["C:\\u00fcber"]'),
}


@pytest.mark.parametrize("name", TEXTS)
def test_compact_text_has_no_needless_escapes(name: str) -> None:
    raw, compacted = TEXTS[name]
    assert compact(raw) == compacted
