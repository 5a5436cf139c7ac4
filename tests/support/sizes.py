"""How much a run tries: a part of it each time, everything with PXBIN_TEST_SIZE=proof (`make proof`)."""

import os

from hypothesis import HealthCheck, settings

PROOF = os.environ.get("PXBIN_TEST_SIZE") == "proof"
PART = 5
"""The everyday run draws a fifth of the examples."""
DRAWN = 100
"""Examples of a property that names no number."""


def examples(full: int) -> int:
    """How many examples a property draws that has so many in a proof."""
    return full if PROOF else max(full // PART, 10)


FUZZED = 60
FUZZED_IN_PROOF = 100_000
"""Examples of a fuzz test in a proof: about ten minutes at some milliseconds each."""


def fuzzed() -> settings:
    """The settings of a test that feeds hostile bytes to one parser."""
    return settings(max_examples=FUZZED_IN_PROOF if PROOF else FUZZED)


def load_profile() -> None:
    """Everyday runs draw the same examples each time, so a failure is there again; proofs draw new ones. None are timed."""
    settings.register_profile(
        "pxbin",
        max_examples=examples(DRAWN),
        deadline=None,
        derandomize=not PROOF,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("pxbin")
