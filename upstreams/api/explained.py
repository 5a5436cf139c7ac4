"""Help for boxes of JSON: the names that a struct knows, their values, and the sentences that its source says about them."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap

import msgspec
from django.utils.html import conditional_escape, format_html, format_html_join


@functools.cache
def fields_of(shape: type[msgspec.Struct]) -> tuple[tuple[str, str, str], ...]:
    """Name, type and meaning of each field. The meaning is the docstring below the field; empty where there is none."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(shape))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            found[name] = (_type(ast.unparse(node.annotation)), "")
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[name] = (found[name][0], inspect.cleandoc(str(node.value.value)).replace("``", ""))
            name = ""
        else:
            name = ""
    return tuple((field, *texts) for field, texts in found.items())


def explained(text: str, shape: type[msgspec.Struct]) -> str:
    """A help text, followed by the names that can be given, folded up."""
    rows = format_html_join(
        "", "<dt><code>{}</code> <span>{}</span></dt><dd>{}</dd>", ((name, kind, meaning) for name, kind, meaning in fields_of(shape))
    )
    return format_html(
        '{}<details class="pxbin-names"><summary>All names and their values</summary><dl>{}</dl></details>', conditional_escape(text), rows
    )


WORDS = {"bool": "true or false", "int": "number", "str": "text"}


def _type(annotation: str) -> str:
    """An annotation in the words of JSON."""
    text = annotation.replace(" | None", "")
    text = re.sub(r"^Annotated\[(\w+|Literal\[[^]]*\]),.*$", r"\1", text)
    if text.startswith("tuple["):
        return f"list of {_type(text.removeprefix('tuple[').removesuffix(', ...]'))}"
    if text.startswith("Literal["):
        return " or ".join(part.strip().replace("'", '"') for part in text.removeprefix("Literal[").removesuffix("]").split(","))
    return WORDS.get(text, text)
