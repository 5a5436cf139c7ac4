"""Declares a setting: an annotated field of `Config` holds its type, default, unit, bounds and help text.

The environment variable, the parser, the key of the YAML file and the lines of `.env.example` are derived from the field.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from pxbin_site.conf import parsers

PREFIX = "PXBIN_"
_PARSERS: Mapping[Any, Callable[[str], Any]] = {bool: parsers.boolean, str: str, Path: Path, tuple[str, ...]: parsers.names}
"""The parser of each type; numbers and literals are parsed by their bounds and values."""


class Setting(msgspec.Struct, frozen=True):
    """The metadata of a setting, as in `log_level: Annotated[str, Setting(…)] = "info"`.

    `section`: heading in `.env.example`. `help`: sentences for the operator; `unit`: what a number counts, in the plural.
    `minimum`, `maximum`: inclusive bounds of a number. `parse`: replaces the parser of the type; it raises ValueError with the
    end of a sentence that begins with the variable's name. `is_secret`: the value is not shown in messages.
    """

    section: str
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    parse: Callable[[str], Any] | None = None
    is_secret: bool = False


class Declaration(msgspec.Struct, frozen=True):
    """A field of a configuration struct that can be set from outside."""

    field: str
    type: Any
    default: Any
    setting: Setting

    @property
    def variable(self) -> str:
        """The name of the environment variable."""
        return env_name(self.field)

    @property
    def parse(self) -> Callable[[str], Any]:
        """Converts the text of the variable to the value; raises ValueError."""
        if self.setting.parse is not None:
            return self.setting.parse
        if get_origin(self.type) is Literal:
            return parsers.one_of(get_args(self.type))
        if self.type in (int, float):
            return parsers.number(self.type, minimum=self.setting.minimum, maximum=self.setting.maximum)
        return _PARSERS[self.type]


def env_name(field: str) -> str:
    """The environment variable of a field of `Config`."""
    return PREFIX + field.upper()


@cache
def declarations(config_type: type[msgspec.Struct]) -> Mapping[str, Declaration]:
    """The settings of a configuration struct by field name, in the order of the fields. Fields without `Setting` are not among them."""
    declared = {}
    for field in msgspec.structs.fields(config_type):
        base, *metadata = get_args(field.type) if hasattr(field.type, "__metadata__") else (field.type,)
        for setting in metadata:
            if isinstance(setting, Setting):
                declared[field.name] = Declaration(field.name, base, field.default, setting)
    return declared
