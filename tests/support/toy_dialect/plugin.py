"""``pytest -p tests.support.toy_dialect.plugin``: the case tests with the toy dialect, and with its folders of cases."""

from pathlib import Path

from proxy.translation.dialects.registry import register
from tests.support import cases
from tests.support.toy_dialect.dialect import DIALECT

register(DIALECT)
cases.ROOT = Path(__file__).parent / "cases"
