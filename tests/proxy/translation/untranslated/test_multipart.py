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


def part(disposition, content, *, more=""):
    return b"--b0\r\nContent-Disposition: form-data; " + disposition.encode() + more.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts, end=b"--b0--\r\n", before=b""):
    return Form(before + b"".join(parts) + end, TYPE)


def refusal(body, content_type=TYPE):
    with pytest.raises(ClientMistake) as raised:
        Form(body, content_type)
    return raised.value.failure.message


def test_fields_and_files_are_found():
    whole = form(
        part('name="model"', b"whisper-1"),
        part('name="file"; filename="a b.wav"', b"\r\n--b\x00\r\n", more="\r\nContent-Type: audio/wav"),
        part('name="timestamp_granularities[]"', b"word"),
        part('name="timestamp_granularities[]"', b"segment"),
        part('name="prompt"', b""),
        before=b"preamble\r\n",
    )
    assert (whole.text("model"), whole.has_file("file"), whole.has_file("model"), whole.text("file")) == ("whisper-1", True, False, None)
    assert (whole.texts("timestamp_granularities[]"), whole.text("prompt"), whole.text("nothing")) == (["word", "segment"], "", None)


def test_only_the_models_bytes_change():
    before, after = part('name="file"; filename=x', b'name="model"\r\n\r\nm'), part("name=language", b"de")
    whole = form(before, part('name="model"; x=1', b"old"), after, before=b"preamble\r\n", end=b"--b0--\r\nepilogue")
    assert (
        whole.with_model("größer")
        == b"preamble\r\n" + before + part('name="model"; x=1', "größer".encode()) + after + b"--b0--\r\nepilogue"
    )


def test_a_file_called_model_is_no_model():
    whole = form(part('name="model"; filename="m"', b"x"))
    assert (whole.text("model"), whole.with_model("other")) == (None, whole.body)


@given(
    st.lists(
        st.tuples(st.text("abc[]_", min_size=1, max_size=8), st.none() | st.text("xyz. ü", min_size=1, max_size=8), st.binary(max_size=40)),
        max_size=6,
    )
)
@settings(max_examples=examples(200))
def test_django_finds_the_same(parts):
    parts = [(name, None if filename is None else filename.strip(" .") or "x", content) for name, filename, content in parts]
    parts = [(name, filename, content if filename else b"text") for name, filename, content in parts if b"\r\n--b0" not in content]
    parts.append(("model", None, b"m"))
    disposition = [f'name="{name}"' + (f'; filename="{filename}"' if filename else "") for name, filename, _ in parts]
    whole = form(*(part(head, content) for head, (_, _, content) in zip(disposition, parts, strict=True)))
    meta = {"CONTENT_TYPE": TYPE, "CONTENT_LENGTH": str(len(whole.body))}
    fields, files = MultiPartParser(meta, io.BytesIO(whole.body), [MemoryFileUploadHandler()]).parse()
    ours = {name: whole.texts(name) for name, filename, _ in parts if filename is None}
    assert ours == {name: fields.getlist(name) for name in fields}
    for name in files:
        found = [whole.body[each.begin : each.end] for each in whole.parts if each.name == name and each.filename is not None]
        assert found == [each.read() for each in files.getlist(name)]


@given(st.binary(max_size=200), st.text(max_size=40))
@settings(max_examples=examples(300))
def test_nonsense_is_the_clients_mistake(body, content_type):
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
        (b"--b0\r\nname: x\r\n--b0--", "The headers of a part of the form do not end"),
        (b"--b0\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b0--", "A part of the form has no name"),
        (part("name=a", b"") * (MAX_PARTS + 1) + b"--b0--", f"The form has more than {MAX_PARTS} parts"),
    ],
)
def test_a_broken_form_says_what_is_wrong(body, message):
    assert refusal(body) == message


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=\x01"])
def test_another_content_type_is_refused(content_type):
    said = "The body must be multipart/form-data, and its content type must name the boundary"
    assert refusal(part("name=a", b"") + b"--b0--", content_type) == said


def test_a_text_that_is_no_text_is_refused():
    with pytest.raises(ClientMistake) as raised:
        form(part("name=model", b"\xff")).text("model")
    assert raised.value.failure.param == "model"
