"""What is wrong with a JSON value of another type than its field, in plain words, and the path of the field."""

from __future__ import annotations

import re

import msgspec

_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_NOT_LISTED = re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL)
_EXPECTED = re.compile(
    r"Expected `(?P<types>[^`]*)`"
    r"(?: (?P<bound>[<>]=?) (?P<limit>\S+)| of length (?P<side>[<>]=) (?P<length>\d+))?"
    r"(?:, got `(?P<got>[^`]*)`)?"
)
_TOO_LARGE = "Number out of range"
_TYPES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_GOT = _TYPES | {"bool": "a boolean", "float": "a decimal number"}
_UNITS = {"str": "characters", "array": "items", "object": "fields"}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """The message and the path of a validation error of msgspec: ``("must be a string, not an integer", "messages.0.content")``."""
    text = str(error)
    match = _PATH.search(text)
    if match is None:
        path = ""
    else:
        text = text[: match.start()]
        path = match["path"].removeprefix("$").replace("[...]", "").replace("[", ".").replace("]", "").strip(".")
    if missing := _MISSING.fullmatch(text):
        return "Field required", f"{path}.{missing['name']}".strip(".")
    if unknown := _UNKNOWN.fullmatch(text):
        return "unknown field", f"{path}.{unknown['name']}".strip(".")
    if not_listed := _NOT_LISTED.fullmatch(text):
        return f"{not_listed['value']} is not an allowed value", path
    if expected := _EXPECTED.fullmatch(text):
        return _explain_type(expected), path
    return "the number is too large" if text == _TOO_LARGE else "the value is not valid", path


def _explain_type(expected: re.Match[str]) -> str:
    types = [name for name in expected["types"].split(" | ") if name != "null"]
    names = [_TYPES.get(name, name) for name in types]
    message = "must be " + (f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0])
    if expected["bound"]:
        message += f" of {_BOUNDS[expected['bound']]} {expected['limit']}"
    elif expected["side"]:
        message += f" of {_BOUNDS[expected['side']]} {expected['length']} {_UNITS[types[0]]}"
    return f"{message}, not {_GOT.get(expected['got'], expected['got'])}" if expected["got"] else message
