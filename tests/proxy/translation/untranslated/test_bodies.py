"""Untranslated bodies: another model's name in them, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated.bodies import models_in_pairs, open_any, open_json

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        ('{"model":"a"}', '{"model":"b"}'),
        ('{ "x" : 1.50,\n "model"\t: "a" , "y":"\\u00fc" }', '{ "x" : 1.50,\n "model"\t: "b" , "y":"\\u00fc" }'),
        ('{"inner":{"model":"a"},"model":"a"}', '{"inner":{"model":"a"},"model":"b"}'),
        ('{"text":"\\"model\\": \\"a\\"","model":"a"}', '{"text":"\\"model\\": \\"a\\"","model":"b"}'),
        ('{"model":"\\u0061"}', '{"model":"b"}'),
        ('{"mod\\u0065l":"a" , "x":1}', '{"model":"b","x":1}'),
    ],
)
def test_only_the_name_of_the_model_changes(body, renamed):
    assert open_json(body.encode()).with_model("b").decode() == renamed


def test_a_body_with_the_right_name_stays_as_it_is():
    body = b'{ "model" : "a" }'
    assert open_json(body).with_model("a") is body


def test_a_model_that_is_not_named_is_the_default():
    opened = open_json(b'{"input": "x"}', default="usual")
    assert (opened.envelope.model, opened.with_model("usual"), opened.with_model("other")) == (
        "usual",
        b'{"input": "x"}',
        b'{"input":"x","model":"other"}',
    )


def test_the_stream_switch_is_read():
    assert [open_json(b'{"model":"a"%b}' % fields).envelope.stream for fields in (b"", b',"stream":true', b',"stream":null')] == [
        False,
        True,
        False,
    ]


PLAIN = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
KEYS = st.sampled_from(["model", "x"])
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2), max_leaves=8)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6))
def test_everything_else_means_the_same(fields, model, new_model):
    body = {**fields, "model": model}
    renamed = open_json(json.dumps(body).encode()).with_model(new_model)
    assert json.loads(renamed) == {**body, "model": new_model}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"\x00\xff", {"content-type": "application/octet-stream"}),
        (b'{"no": "model"}', JSON),
        (b'{"model": "a"}', {**JSON, "content-encoding": "gzip"}),
        (b'{"index": "a"}\n{"text": "b"}\n', {"content-type": "application/x-ndjson"}),
    ],
)
def test_what_names_no_model_goes_to_the_groups(body, headers):
    opened = open_any(body, headers, default="usual")
    assert (opened.envelope, opened.with_model("theirs")) == (Envelope({}, "usual"), body)


def test_a_model_is_found_in_json_and_in_forms():
    form = b'--y\r\ncontent-disposition: form-data; name="model"\r\n\r\na\r\n--y--'
    opened = [
        open_any(b'{"model": "a"}', JSON, default=""),
        open_any(form, {"content-type": "multipart/form-data; boundary=y"}, default=""),
    ]
    assert [(opened_body.envelope.model, opened_body.with_model("b")) for opened_body in opened] == [
        ("a", b'{"model": "b"}'),
        ("a", form.replace(b"\na\r", b"\nb\r")),
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b'{"model": "a"', "application/json", "The request body is not valid JSON: it ends too early"),
        (b'{"model": "a"} {"x":1}', "text/plain", "The request body is not valid JSON: invalid at byte 16"),
        (b'\xef\xbb\xbf{"model": "a"}', "application/json", "The request body is not valid JSON: invalid at byte 0"),
        (b'{"model": "a", "Model": "b"}', "text/plain", "Model: the field is spelled model"),
        (b"--x", "multipart/form-data; boundary=y", "The form has no parts: its boundary does not occur in the body"),
        (b'{"model": 5}', "application/json", "model: must be a string, not an integer"),
        (b'{"model": ["a"]}', "application/json", "model: must be a string, not an array"),
        *(
            ('\ufeff {"model": "a"}'.encode(encoding), "application/json", "The request body is not valid UTF-8")
            for encoding in ("utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be", "utf-32")
        ),
        ('[{"model": "a"}]'.encode("utf-16-le"), "application/octet-stream", "The request body is not valid UTF-8"),
    ],
)
def test_a_plain_body_in_which_another_parser_may_read_a_model_is_refused(body, content_type, message):
    with pytest.raises(ClientMistake) as raised:
        open_any(body, {"content-type": content_type}, default="usual")
    assert raised.value.failure.message == message


def test_a_renamed_body_has_no_lone_surrogate_and_no_second_value_of_a_key():
    repaired, single = open_json(rb'{"model":"a","input":"\ud800"}'), open_json(b'{"n":1,"model":"a","n":2}')
    assert [request.with_model(name) for request in (repaired, single) for name in ("a", "b")] == [
        rb'{"model":"a","input":"\ufffd"}',
        rb'{"model":"b","input":"\ufffd"}',
        b'{"n":2,"model":"a"}',
        b'{"n":2,"model":"b"}',
    ]


def test_a_body_that_is_no_object_is_the_clients_mistake():
    with pytest.raises(ClientMistake):
        open_json(b"[]")


@pytest.mark.parametrize("body", [b"model=a", b"x=1&MODEL=a", b"x=1;%6dodel=a", b"+model+=a", b"model"])
def test_a_urlencoded_form_may_not_name_a_model(body):
    with pytest.raises(ClientMistake, match="model: a form of this type may not name a model"):
        open_any(body, {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, default="usual")


def test_a_urlencoded_form_without_a_model_is_unchanged():
    opened = open_any(b"a=model&models=2", {"content-type": "application/x-www-form-urlencoded"}, default="usual")
    assert (opened.envelope.model, opened.with_model("other")) == ("usual", b"a=model&models=2")


def test_the_models_of_a_query_are_found_in_every_spelling():
    pairs = "a=1&model=x&Model=y%20z;%4dODEL=&models=n&model&model[]=b&model%5B0%5D=c&mo%00del=d&%256dodel=e"
    assert models_in_pairs(pairs) == ["x", "y z", "", "", "b", "c", "d", "e"]
