"""Regular expressions that an admin enters: valid, and not so slow that one text holds up the process."""

from __future__ import annotations

import re
import time

from django.core.exceptions import ValidationError

HOSTILE_LENGTH = 22
"""Characters of the texts with which an expression is tried: one that needs exponential time takes a second at about this length."""
HOSTILE_LETTERS = "a0 .-@\n"
SLOWEST_SECONDS = 0.05


def quick_pattern(value: str) -> None:
    """Validator: the text is a regular expression that matches something else than nothing, quickly. Migrations refer to it by name."""
    try:
        pattern = re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValidationError(f"This is not a regular expression: {error}.") from None
    if pattern.search("") is not None:
        raise ValidationError("This expression matches the empty text, which is everywhere.")
    for letter in HOSTILE_LETTERS:
        begin = time.perf_counter()
        pattern.sub("", letter * HOSTILE_LENGTH + "!")
        if time.perf_counter() - begin > SLOWEST_SECONDS:
            raise ValidationError("This expression takes too long for some texts: avoid repetitions inside of repetitions, as in (a+)+.")
