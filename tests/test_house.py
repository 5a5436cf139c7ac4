"""The structure that docs/architecture.md describes, where import contracts cannot check it."""

import ast
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
