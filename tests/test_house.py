"""The structure that docs/architecture.md describes, where import contracts cannot check it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "billing", "proxy", "pxbin_site", "upstreams")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def sources() -> list[Path]:
    """Our own modules, without migrations."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


CHECKING = ("assert_", "check_", "expect_", "must_")
"""How the name of a helper begins that fails where something is not as it must be."""
RAISING = frozenset({"raises", "warns", "fail"})


def called(node: ast.Call) -> str:
    """The name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return called(node).startswith(CHECKING) or called(node) in RAISING
    return isinstance(node, ast.Assert)


def test_every_test_shows_what_it_asserts():
    """By an assert, by pytest.raises, or by a helper whose name says that it checks."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    tests = [(path, node) for path in paths for node in functions(path) if node.name.startswith("test_")]
    assert len(tests) > 1000
    assert [f"{path.relative_to(ROOT)}::{node.name}" for path, node in tests if not any(map(asserts, ast.walk(node)))] == []


def test_what_starts_processes_is_marked_as_slow():
    """`make quick` leaves it out. What is below tests/e2e has a mark of its own."""
    paths = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "e2e" not in path.parts and path != Path(__file__).resolve()]
    starting = [path for path in paths if re.search(r"\bsubprocess\.|Gateway\.started\(|\bopen_page\(", path.read_text())]
    assert starting
    assert [str(path.relative_to(ROOT)) for path in starting if "pytest.mark.slow" not in path.read_text()] == []


def test_dialects_are_all_independent():
    folders = {f"proxy.translation.dialects.{path.parent.name}" for path in (ROOT / "proxy/translation/dialects").glob("*/__init__.py")}
    assert [set(contract["modules"]) for contract in CONTRACTS if contract["type"] == "independence"] == [folders]


def test_no_module_imports_itself_by_way_of_others():
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    begun: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in begun, " -> ".join([*begun[begun.index(module) :], module])
        if module in done:
            return
        begun.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            visit(imported)
        begun.pop()
        done.add(module)

    for module in sorted(graph.modules):
        visit(module)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_reader(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    assert [node.name for node in functions(path) if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION] == []


def test_only_the_settings_read_the_environment():
    readers = {"pxbin_site/settings.py"}
    found = {str(path.relative_to(ROOT)) for path in sources() if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    names_settings = {"pxbin_site/asgi.py", "pxbin_site/celery.py"}  # they only say which settings module Django shall take
    assert found - names_settings - readers == set()
