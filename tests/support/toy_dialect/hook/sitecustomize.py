"""Registers the toy dialect in a process before anything else is imported; Python imports this at its start."""

from proxy.translation.dialects.registry import register
from tests.support.toy_dialect.dialect import DIALECT

register(DIALECT)
