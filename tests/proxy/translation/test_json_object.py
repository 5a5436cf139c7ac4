"""The top level of a body: one model for every parser, UTF-8, a bounded number of fields."""

import pytest

from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import MAX_FIELDS, open_body
from proxy.translation.lone_surrogates import replace_lone_surrogates


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (b'{"model":"ok","MODEL":"never"}', "model", "MODEL: the field is spelled model"),
        (rb'{"model":"ok","\u004dodel":"never"}', "model", "Model: the field is spelled model"),
        (b'{"model":"ok","model":"never"}', "model", "model: the field occurs twice"),
        (rb'{"model":"ok","mod\u0065l":"never"}', "model", "model: the field occurs twice"),
        ('{"model\u017f":["never"]}'.encode(), "models", "model\u017f: the field is spelled models"),
        ('{"fallbac\u212as":["never"]}'.encode(), "fallbacks", "fallbac\u212as: the field is spelled fallbacks"),
        (b'{"model":"ok","user":"\xff"}', "user", "user: the text is not valid UTF-8"),
        (b'{"model":"ok","\xff":1}', None, "The request body is not valid UTF-8"),
        (b"[]", None, "The request body must be a JSON object"),
        (b" ", None, "The request body is empty; a JSON object is expected"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(MAX_FIELDS + 1)) + b"}", None, "The request has more than 1000 top-level fields"),
        (b'{"x":' + b"[" * 100_000, None, "The request is nested too deeply"),
    ],
)
def test_a_body_that_parsers_may_read_differently_is_refused(body, param, message):
    with pytest.raises(ClientMistake) as raised:
        open_body(body)
    assert (raised.value.failure.param, raised.value.failure.message) == (param, message)


def test_lone_surrogates_are_replaced_in_all_fields():
    opened = open_body(rb'{"model":"m","x":["\ud800","\ud83d\ude00","\\ud800"],"y":"\ude00"}')
    assert opened.body == rb'{"model":"m","x":["\ufffd","\ud83d\ude00","\\ud800"],"y":"\ufffd"}'
    assert {name: bytes(raw) for name, raw in opened.fields.items()} == {
        "model": b'"m"',
        "x": rb'["\ufffd","\ud83d\ude00","\\ud800"]',
        "y": rb'"\ufffd"',
    }


@pytest.mark.parametrize("shift", range(13))
@pytest.mark.parametrize(
    ("escapes", "replaced"), [(rb"\ud83d\ude00", rb"\ud83d\ude00"), (rb"\ud83d", rb"\ufffd"), (rb"\\", rb"\\"), (rb"\ude00", rb"\ufffd")]
)
def test_no_pair_is_cut_between_two_slices(shift, escapes, replaced):
    before = b"x" * shift
    assert replace_lone_surrogates(before + escapes * 20_000 + rb"\ud800") == before + replaced * 20_000 + rb"\ufffd"
