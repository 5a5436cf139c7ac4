"""The structure that docs/architecture.md describes, where import contracts cannot check it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from proxy.translation.dialects.registry import REGISTRY

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


def name_called(node: ast.Call) -> str:
    """The name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""


def asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return name_called(node).startswith(CHECKING) or name_called(node) in RAISING
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
    assert [contract["modules"] for contract in CONTRACTS if contract["type"] == "independence"] == [["proxy.translation.dialects.*"]]


NAMES_WIRE = {
    "proxy/translation/quirks.py": "descriptions for people",
    "pxbin_site/management/commands/serve.py": "the example of the first start",
    "pxbin_site/templatetags/gateway.py": "examples for clients",
    "pxbin_site/conf/config.py": "help texts",
    "upstreams/presets.py": "headers and paths of well-known endpoints",
}
"""Modules besides the dialects' own and the echo upstream that may hold a dialect's header or path, and why."""

HEADER_NAMES = {
    name.lower()
    for dialect in REGISTRY.values()
    for name in (
        *dialect.client.identifying_headers,
        dialect.client.beta_header,
        dialect.upstream.beta_header,
        *(name for name, _ in dialect.upstream.default_headers),
        *dialect.upstream.headers_up,
    )
    if name
}
PATHS = {
    path
    for dialect in REGISTRY.values()
    for path in (
        *(endpoint.path for endpoint in dialect.client.endpoints if endpoint.kind in ("generate", "count")),
        *(untranslated.path for untranslated in dialect.client.untranslated),
        dialect.upstream.main_path,
    )
    if path
}


def test_only_the_dialects_own_modules_hold_their_headers_and_paths():
    own = [ROOT / "proxy/translation/dialects", ROOT / "upstreams/echo"]
    paths = [path for path in sources() if not any(folder in path.parents for folder in own)]
    holding = {str(path.relative_to(ROOT)) for path in paths if holds_a_wire_name(path.read_text())}
    assert holding == set(NAMES_WIRE)


@pytest.mark.parametrize(
    ("source", "holds_one"),
    [
        ('HEADERS = b"Accept, anthropic-version"', True),
        ('headers.get("Anthropic-Beta")', True),
        ('PATH = f"/v1/chat/completions?{query}"', True),
        ('"""Reads the bodies of /v1/messages."""', False),
        ('class A:\n    path: str\n    """Such as /v1/messages."""', False),
        ('PATH = "/v1/"', False),
    ],
)
def test_a_header_or_path_of_a_dialect_is_noticed(source, holds_one):
    assert holds_a_wire_name(source) is holds_one


def holds_a_wire_name(source: str) -> bool:
    """Whether a text of a module contains a header or a path of a dialect; docstrings and other bare texts do not count."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return any(isinstance(node, ast.Constant) and id(node) not in bare and _is_wire_name(node.value) for node in ast.walk(tree))


def _is_wire_name(value: object) -> bool:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and any(name in text.lower() for name in HEADER_NAMES | PATHS)


NAMES_DIALECTS = {
    "upstreams/presets.py": "which dialect a well-known endpoint speaks",
    "pxbin_site/conf/providers.py": "the preset of each provider's variable; some are called as their dialect is",
    "pxbin_site/processes/bootstrap.py": "the built-in upstreams of the first start",
    "billing/pricing/litellm.py": "the names of providers in LiteLLM's price file",
    "proxy/exchange/stored_responses.py": "a feature of the Responses API alone",
    "proxy/exchange/socket_turns.py": "the same: the vendor's WebSocket has this dialect alone",
    "pxbin_site/config_files/readers/wire_names.py": "the names that other gateways' files have for API formats and providers",
    "pxbin_site/config_files/readers/claude_code_router.py": "the name of a transformer",
    "pxbin_site/config_files/readers/litellm_deployments.py": "the beginning of model names, and a provider",
}
"""Modules besides the dialects' own that may name one, and why."""


def test_only_the_dialects_own_modules_name_a_dialect():
    """So that a new dialect is a folder and a line in the registry; ``tests/e2e/test_toy_dialect.py`` adds one."""
    own = ROOT / "proxy/translation/dialects"
    modules = {str(path.relative_to(ROOT)) for path in sources() if own not in path.parents and names_a_dialect(path.read_text())}
    assert modules == set(NAMES_DIALECTS)


@pytest.mark.parametrize(
    ("source", "names_one"),
    [
        ('TABLE = {"bedrock": 1}', True),
        ("from proxy.translation.dialects.anthropic.dialect import DIALECT", True),
        ("from proxy.translation.dialects import openai_chat", True),
        ("import proxy.translation.dialects.openai_responses.request", True),
        ('"""Reads anthropic."""\nfrom proxy.translation.dialects.registry import REGISTRY', False),
        ('KEY = "anthropic_beta"', False),
    ],
)
def test_a_named_dialect_is_found(source, names_one):
    assert names_a_dialect(source) is names_one


def names_a_dialect(source: str) -> bool:
    """Whether a module holds the name of a dialect as a text of its own, or imports from a dialect's folder."""
    return any(_names_a_dialect(node) for node in ast.walk(ast.parse(source)))


def _names_a_dialect(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value in REGISTRY
    if isinstance(node, ast.Import):
        imported = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        imported = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
        return False
    return any(f"{name}.".startswith(f"proxy.translation.dialects.{dialect}.") for name in imported for dialect in REGISTRY)


def test_no_module_imports_itself_by_way_of_others():
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    import_path: list[str] = []
    visited: set[str] = set()

    def visit(module: str) -> None:
        assert module not in import_path, " -> ".join([*import_path[import_path.index(module) :], module])
        if module in visited:
            return
        import_path.append(module)
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            visit(imported)
        import_path.pop()
        visited.add(module)

    for module in sorted(graph.modules):
        visit(module)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_a_reader(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE
    assert [node.name for node in functions(path) if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION] == []


def test_only_the_settings_read_the_environment():
    readers = {"pxbin_site/settings.py", "pxbin_site/config_files/readers/litellm_values.py"}  # LiteLLM's files name it
    modules = {str(path.relative_to(ROOT)) for path in sources() if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    names_settings = {
        "pxbin_site/asgi.py",
        "pxbin_site/celery.py",
        "pxbin_site/command_line.py",
    }  # they only say which settings module Django shall take
    references = {"upstreams/management/secret_argument.py"}  # the operator names the variable that holds a secret
    assert modules - names_settings - references - readers == set()
