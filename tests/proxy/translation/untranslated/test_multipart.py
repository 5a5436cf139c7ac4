"""Forms, cut by hand: the same parts as Django finds, and every other byte where it was."""

import io
from contextlib import suppress

import pytest
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http.multipartparser import MultiPartParser
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.translation.errors import ClientMistake
from proxy.translation.untranslated.multipart import MAX_PARTS, Form
from tests.support.sizes import examples

TYPE = "multipart/form-data; boundary=b0"


def part(disposition, content, *, more_headers=""):
    return b"--b0\r\nContent-Disposition: form-data; " + disposition.encode() + more_headers.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts, end=b"--b0--\r\n", before=b""):
    return Form(before + b"".join(parts) + end, TYPE)


def refusal(body, content_type=TYPE):
    with pytest.raises(ClientMistake) as raised:
        Form(body, content_type)
    return raised.value.failure.message


def test_fields_and_files_are_found():
    parsed = form(
        part('name="model"', b"whisper-1"),
        part('name="file"; filename="a b.wav"', b"\r\n--b\x00\r\n", more_headers="\r\nContent-Type: audio/wav"),
        part('name="timestamp_granularities[]"', b"word"),
        part('name="timestamp_granularities[]"', b"segment"),
        part('name="prompt"', b""),
        before=b"preamble\r\n",
    )
    assert (parsed.text("model"), parsed.has_file("file"), parsed.has_file("model"), parsed.text("file")) == (
        "whisper-1",
        True,
        False,
        None,
    )
    assert (parsed.texts("timestamp_granularities[]"), parsed.text("prompt"), parsed.text("nothing")) == (["word", "segment"], "", None)


def test_only_the_models_bytes_change():
    before, after = part('name="file"; filename=x', b'name="model"\r\n\r\nm'), part("name=language", b"de")
    parsed = form(before, part('name="model"; x=1', b"old"), after, before=b"preamble\r\n", end=b"--b0--\r\nepilogue")
    assert (
        parsed.with_model("größer")
        == b"preamble\r\n" + before + part('name="model"; x=1', "größer".encode()) + after + b"--b0--\r\nepilogue"
    )


TWICE = "model: the field occurs twice"
DIVIDED = "A part of the form has a Content-Disposition with a parameter that is encoded, divided or doubled"
NO_HEADER = "A part of the form has a header that is not of the form Name: value"
TWO_HEADERS = "A part of the form has two Content-Disposition headers"
INSIDE = "The form has its boundary inside a part, or before or after its parts"
OWN = part('name="model"', b"ok")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (part('name="model"', b"never") + OWN, TWICE),
        (part('name="model"; filename=""', b"never"), "model: the field must be text; it has a filename"),
        (part("name=\"model\"; filename*=utf-8''", b"never"), "model: the field must be text; it has a filename"),
        (part('name="Model"', b"never") + OWN, "Model: the field is spelled model"),
        (part('name=" model"', b"never") + OWN, " model: the field is spelled model"),
        (part('name="model[]"', b"never") + OWN, "model[]: the field is spelled model"),
        (part('name="x"; name="model"', b"never") + OWN, DIVIDED),
        (part('name="x"; NAME="model"', b"never") + OWN, DIVIDED),
        (part("name*=utf-8''model", b"never") + OWN, DIVIDED),
        (part("name*0=mo; name*1=del", b"never") + OWN, DIVIDED),
        (part("name=x; filename*0*=idna''%ff", b"never") + OWN, DIVIDED),
        (part('name="mo\\del"', b"never") + OWN, "A part of the form has a name with a backslash, an encoded word or a control character"),
        (
            part('name="model"', b"x", more_headers="\r\nContent-Type: text/plain; charset=utf-16"),
            "model: the field must be text in UTF-8 without a transfer encoding",
        ),
        (
            part('name="model"', b"x", more_headers="\r\nContent-Transfer-Encoding: base64"),
            "model: the field must be text in UTF-8 without a transfer encoding",
        ),
        (
            part('name="x"', b"", more_headers='\r\nContent-Disposition: form-data; name="model"'),
            TWO_HEADERS,
        ),
        (part('name="x";\r\n name="y"', b"") + OWN, NO_HEADER),
        (
            part('name="x"', b"", more_headers='\nContent-Disposition: form-data; name="model"'),
            NO_HEADER,
        ),
        (OWN + part('name="prompt"', b'q\n--b0\nContent-Disposition: form-data; name="model"\n\nnever'), INSIDE),
    ],
)
def test_a_form_in_which_another_parser_may_read_another_model_is_refused(parts, message):
    assert refusal(parts + b"--b0--\r\n") == message


@pytest.mark.parametrize("charset", ["idna", "punycode", "\0", "bogus"])
def test_the_charset_of_a_filename_is_not_looked_at(charset):
    body = part(f"name=file; filename*={charset}''%ff", b"x") + b"--b0--"
    if charset == "\0":
        assert refusal(body) == NO_HEADER
    else:
        assert Form(body, TYPE).has_file("file")


@pytest.mark.parametrize(
    ("before", "after"),
    [(b'--b0\nContent-Disposition: form-data; name="model"\n\nnever\n', b""), (b"--b0 \r\n", b""), (b"", OWN + b"--b0--")],
)
def test_a_boundary_outside_the_parts_is_refused(before, after):
    with pytest.raises(ClientMistake):
        form(OWN, before=before, end=b"--b0--\r\n" + after)


@pytest.mark.parametrize("boundary_text", ["b0; boundary=b1", "b0; boundary*=utf-8''b1", "b0; Boundary=b1", '"b\\0"'])
def test_a_content_type_with_two_boundaries_is_refused(boundary_text):
    assert refusal(OWN + b"--b0--", f"multipart/form-data; boundary={boundary_text}") == (
        "The body must be multipart/form-data, and its content type must name the boundary"
    )


@given(
    st.lists(
        st.tuples(st.text("abc[]_", min_size=1, max_size=8), st.none() | st.text("xyz. ü", min_size=1, max_size=8), st.binary(max_size=40)),
        max_size=6,
    )
)
@settings(max_examples=examples(200))
def test_django_finds_the_same(parts):
    parts = [(name, None if filename is None else filename.strip(" .") or "x", content) for name, filename, content in parts]
    parts = [(name, filename, content if filename else b"text") for name, filename, content in parts if b"--b0" not in content]
    parts.append(("model", None, b"m"))
    disposition = [f'name="{name}"' + (f'; filename="{filename}"' if filename else "") for name, filename, _ in parts]
    parsed = form(*(part(head, content) for head, (_, _, content) in zip(disposition, parts, strict=True)))
    meta = {"CONTENT_TYPE": TYPE, "CONTENT_LENGTH": str(len(parsed.body))}
    fields, files = MultiPartParser(meta, io.BytesIO(parsed.body), [MemoryFileUploadHandler()]).parse()
    own_fields = {name: parsed.texts(name) for name, filename, _ in parts if filename is None}
    assert own_fields == {name: fields.getlist(name) for name in fields}
    for name in files:
        file_bodies = [parsed.body[file.begin : file.end] for file in parsed.parts if file.name == name and file.is_file]
        assert file_bodies == [file.read() for file in files.getlist(name)]


@given(st.binary(max_size=200), st.text(max_size=40))
@settings(max_examples=examples(300))
def test_arbitrary_bytes_are_a_form_or_the_clients_mistake(body, content_type):
    for given_type in (content_type, TYPE):
        with suppress(ClientMistake):
            assert Form(body, given_type).parts


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The form has no parts: its boundary does not occur in the body"),
        (b"--b0\r\n", "The form is not complete: it has no closing boundary"),
        (b"--b0x\r\nname\r\n--b0--", "The form is not complete: it has no closing boundary"),
        (b"--b0\r\n\r\nx\r\n--b0--", "A part of the form has no Content-Disposition"),
        (b"--b0\r\nname: x\r\n--b0--", "The headers of a part of the form do not end, or have more than 8192 bytes"),
        (b"--b0\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b0--", "A part of the form has no name"),
        (part("name=a", b"") * (MAX_PARTS + 1) + b"--b0--", f"The form has more than {MAX_PARTS} parts"),
    ],
)
def test_a_broken_form_says_what_is_wrong(body, message):
    assert refusal(body) == message


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=\x01"])
def test_another_content_type_is_refused(content_type):
    message = "The body must be multipart/form-data, and its content type must name the boundary"
    assert refusal(part("name=a", b"") + b"--b0--", content_type) == message


def test_a_text_that_is_no_text_is_refused():
    with pytest.raises(ClientMistake) as raised:
        form(part("name=model", b"\xff")).text("model")
    assert raised.value.failure.param == "model"
