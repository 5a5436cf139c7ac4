"""Citations and links in the project's texts lead to a section, a file or a heading that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("accounts", "bench", "billing", "proxy", "pxbin_site", "tests", "upstreams")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")] + sorted((ROOT / "docs").rglob("*.md"))

NUMBER = r"\d+(?:\.\d+)*"
CITATION = re.compile(rf"\bsections? (?P<numbers>{NUMBER}(?:(?:, | and | to |, and ){NUMBER})*)", re.IGNORECASE)
"""``section 7.9``, ``sections 7.8 and 7.9``, ``sections 7.5 to 7.12``, after line breaks became spaces."""


def wire_sections() -> set[str]:
    """The numbers of the headings of docs/wire-formats.md, such as ``7`` and ``7.9``."""
    return set(re.findall(rf"^#+ ({NUMBER}) ", (ROOT / "docs" / "wire-formats.md").read_text(), re.MULTILINE))


def cited_sections(text: str) -> list[str]:
    """Every section number that ``text`` cites, in order; sections of an RFC are not ours."""
    numbers: list[str] = []
    flat = re.sub(r"\s+(?:# )?", " ", text)
    for citation in CITATION.finditer(flat):
        if not re.search(r"RFC \d+,? $", flat[: citation.start()]):
            numbers += re.findall(NUMBER, citation["numbers"])
    return numbers


def sources() -> list[Path]:
    paths = (path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in paths if "node_modules" not in path.parts and path != Path(__file__))


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^(`{3,}|~{3,}).*?^\1[ \t]*$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page: lower case, hyphens for spaces, a number behind a repeated one."""
    counts: dict[str, int] = {}
    result = set()
    for title in re.findall(r"^#{1,6} +(.+?)(?: +#+)?$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = counts[anchor] = counts.get(anchor, -1) + 1
        result.add(f"{anchor}-{count}" if count else anchor)
    return result


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures that have no scheme."""
    text = re.sub(r"`[^`\n]+`", "", prose(page))
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r"^\[[^\]]+\]: +(\S+)", text, re.MULTILINE)
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def is_broken(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    aim = (page.parent / path).resolve() if path else page
    return not aim.exists() or bool(anchor and anchor not in anchors(aim))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(wire formats, section 7.9)", ["7.9"]),
        ("Wire formats, sections 7.8\nand 7.9. The API", ["7.8", "7.9"]),
        ("(sections 1.3,\n2.3 and 7.3)", ["1.3", "2.3", "7.3"]),
        ("# docs/wire-formats.md, section\n# 14", ["14"]),
        ("(RFC 9110, section 10.2.3)", []),
        ("(RFC 9110, section 10.2.3; wire formats, section 12)", ["12"]),
    ],
)
def test_citations_are_read(text, numbers):
    assert cited_sections(text) == numbers


def test_every_cited_section_of_the_wire_formats_exists():
    cited = {str(path.relative_to(ROOT)): cited_sections(path.read_text()) for path in sources()}
    assert sum(map(len, cited.values())) > 50
    existing = wire_sections()
    missing = {path: sorted(set(numbers) - existing) for path, numbers in cited.items()}
    assert {path: numbers for path, numbers in missing.items() if numbers} == {}


def test_the_wire_formats_cite_their_own_sections_only():
    cited = cited_sections((ROOT / "docs" / "wire-formats.md").read_text())
    assert set(cited) - wire_sections() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    assert [target for target in links(page) if is_broken(page, target)] == []


def test_a_link_to_a_missing_file_or_heading_is_broken(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title of `code`, 2\n\n[a](#title-of-code-2) [b](#nothing) [c](other.md) [d](page.md#title-of-code-2) [e](https://example.org/x)\n"
        "```\n[f](in-code.md)\n```\n## Title of `code`, 2\n[g](#title-of-code-2-1)\n"
    )
    assert links(page) == ["#title-of-code-2", "#nothing", "other.md", "page.md#title-of-code-2", "#title-of-code-2-1"]
    assert [target for target in links(page) if is_broken(page, target)] == ["#nothing", "other.md"]
