"""What another vendor's tools said in an assistant's history, as text."""

from __future__ import annotations

import msgspec
import pytest

from proxy.translation.adaptation.readable_history import with_readable_history
from proxy.translation.canonical import Message, Opaque, Part, Request, Text, ToolCall

CALL = ToolCall("c", "f", "{}")


def result(text: str, *, history: bool = True) -> Opaque:
    return Opaque("vendor", "search_result", msgspec.Raw(b"{}"), text, history)


def request(*parts: Part) -> Request:
    return Request(model="m", messages=(Message("user", (Text("q"),)), Message("assistant", parts)), family="vendor")


@pytest.mark.parametrize(
    ("parts", "readable"),
    [
        ((Text("a"), result("b"), Text("c")), (Text("a"), Text("\n\nb"), Text("\n\nc"))),
        ((result("b"), Text("c")), (Text("b"), Text("\n\nc"))),
        ((Text("a"), result("b"), CALL, Text("c"), Text("d")), (Text("a"), Text("\n\nb"), CALL, Text("\n\nc"), Text("d"))),
        ((result("a"), result(""), result("b")), (Text("a"), result(""), Text("\n\nb"))),
        ((Text("a"), result(""), Text("c")), (Text("a"), result(""), Text("c"))),
        ((Text(""), result("b")), (Text(""), Text("b"))),
        ((Text("a"), result("b", history=False)), (Text("a"), result("b", history=False))),
    ],
)
def test_blank_lines_keep_what_the_model_did_not_say_apart(parts: tuple[Part, ...], readable: tuple[Part, ...]) -> None:
    assert with_readable_history(request(*parts), "other") == request(*readable)


def test_the_vendor_itself_gets_its_parts_back() -> None:
    given = request(Text("a"), result("b"))
    assert with_readable_history(given, "vendor") is given
