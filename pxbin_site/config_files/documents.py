"""Texts of configuration files as values, with the line of each value. YAML, and JSON with comments and final commas.

No Django and no settings: `serve --config` reads the file before both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

Steps = tuple[str | int, ...]
"""The way to a value: names of fields and indexes of lists."""
LARGEST_FILE = 16 * 1024 * 1024
DEEPEST = 100
"""Levels of lists and objects; real files have fewer than ten."""
MOST_VALUES = 500_000
"""Values of a file, those of repeated YAML anchors counted again."""
_SPACE = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALARS = json.JSONDecoder()


class ConfigFileError(Exception):
    """A configuration file cannot be used. ``problems``: one sentence for each error, with the file and the line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Document(msgspec.Struct):
    """The value of a file. ``lines``: the line of each value in it, from 1, by its steps."""

    path: str
    value: Any
    lines: dict[Steps, int] = {}

    def line(self, steps: Steps) -> int | None:
        """The line of a value, or of the nearest value around it."""
        for end in range(len(steps), -1, -1):
            if steps[:end] in self.lines:
                return self.lines[steps[:end]]
        return None

    def place(self, steps: Steps) -> str:
        """Where a value is, for a message: ``config.json, line 12: providers[0].base_url``."""
        number = self.line(steps)
        return ": ".join(filter(None, (f"{self.path}, line {number}" if number else self.path, dotted(steps))))

    def error(self, steps: Steps, message: str) -> ConfigFileError:
        """The error of one value."""
        return ConfigFileError(f"{self.place(steps)}: {message}")


def dotted(steps: Steps) -> str:
    """``models[0].name``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def read(path: Path) -> Document:
    """The document of a file. Raises :class:`ConfigFileError`."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ConfigFileError(f"{path}: is larger than {LARGEST_FILE // 1024 // 1024} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return parse(text, str(path))


def parse(text: str, path: str) -> Document:
    """The document of a text, which is JSON if it begins as such or ``path`` ends in ``.json``. Raises :class:`ConfigFileError`."""
    if path.endswith((".json", ".json5")) or text.lstrip()[:1] in ("{", "["):
        return _JsonReader(text, path).document()
    return _yaml_document(text, path)


def _yaml_document(text: str, path: str) -> Document:
    loader = yaml.SafeLoader(text)
    lines: dict[Steps, int] = {}
    try:
        node = loader.get_single_node()
        if node is not None:
            _note_lines(node, (), lines, path)
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else path
        raise ConfigFileError(f"{where}: is not YAML: {' '.join(str(error.problem or error.context).split())}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigFileError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    return Document(path, value, lines)


def _note_lines(node: yaml.Node, steps: Steps, lines: dict[Steps, int], path: str) -> None:
    lines[steps] = node.start_mark.line + 1
    if len(steps) > DEEPEST or len(lines) > MOST_VALUES:
        raise ConfigFileError(f"{path}, line {node.start_mark.line + 1}: is nested too deeply or has too many values")
    if isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in names:
                raise ConfigFileError(f"{path}, line {key.start_mark.line + 1}: {key.value} is given twice")
            names.add(key.value)
            _note_lines(value, (*steps, str(key.value)), lines, path)
            lines[*steps, str(key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*steps, index), lines, path)


class _JsonReader:
    """Reads JSON, and notes the line of each value. Comments and commas before a closing bracket are accepted."""

    def __init__(self, text: str, path: str) -> None:
        self._text, self._path = text, path
        self._at = 0
        self._counted, self._line = 0, 1
        self._lines: dict[Steps, int] = {}

    def document(self) -> Document:
        value = self._value(())
        self._skip_space()
        if self._at < len(self._text):
            raise self._problem("there is more after the end of the value")
        return Document(self._path, value, self._lines)

    def _value(self, steps: Steps) -> Any:
        self._skip_space()
        self._lines.setdefault(steps, self._current_line())
        if len(steps) > DEEPEST:
            raise self._problem("is nested too deeply")
        opening = self._text[self._at : self._at + 1]
        if opening == "{":
            return self._object(steps)
        if opening == "[":
            return self._list(steps)
        return self._scalar()

    def _object(self, steps: Steps) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        self._at += 1
        while not self._ends("}"):
            line, name = self._current_line(), self._scalar()
            if not isinstance(name, str):
                raise self._problem("the name of a field is expected, in double quotes")
            if name in fields:
                raise self._problem(f"{name} is given twice")
            self._skip_space()
            if self._text[self._at : self._at + 1] != ":":
                raise self._problem(f"a colon is expected after {name!r}")
            self._at += 1
            self._lines[*steps, name] = line
            fields[name] = self._value((*steps, name))
            self._separate("}")
        return fields

    def _list(self, steps: Steps) -> list[Any]:
        items: list[Any] = []
        self._at += 1
        while not self._ends("]"):
            items.append(self._value((*steps, len(items))))
            self._separate("]")
        return items

    def _ends(self, closing: str) -> bool:
        self._skip_space()
        if self._text[self._at : self._at + 1] != closing:
            return False
        self._at += 1
        return True

    def _separate(self, closing: str) -> None:
        self._skip_space()
        mark = self._text[self._at : self._at + 1]
        if mark == ",":
            self._at += 1
        elif mark != closing:
            raise self._problem(f"a comma or {closing} is expected")

    def _scalar(self) -> Any:
        if self._text[self._at : self._at + 1] in ("{", "[", ""):
            raise self._problem("a value is expected")
        try:
            value, self._at = _SCALARS.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise self._problem(error.msg[:1].lower() + error.msg[1:]) from None
        return value

    def _skip_space(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _current_line(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _problem(self, message: str) -> ConfigFileError:
        return ConfigFileError(f"{self._path}, line {self._current_line()}: is not JSON: {message}")
