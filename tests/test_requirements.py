"""Every pinned package has hashes, so that an index cannot hand out another file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[^ ;]+( ; .+)?( --hash=sha256:[0-9a-f]{64})+", re.IGNORECASE)


def requirements(name: str) -> list[str]:
    """The requirements of a file, each as one line without comments."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", "")
    lines = (re.sub(r"\s+", " ", line.partition("#")[0]).strip() for line in text.splitlines())
    return [line for line in lines if line]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_hashes(name: str) -> None:
    lines = requirements(name)
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    assert len(lines) > 40


def test_what_runs_is_pinned_alike_in_both_files() -> None:
    assert set(requirements("requirements.txt")) <= set(requirements("requirements-dev.txt"))
