"""The dialects that the gateway speaks, by name. A new one is a folder and a line here."""

import sys

from proxy.translation.dialects.anthropic import dialect as anthropic
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.bedrock import dialect as bedrock
from proxy.translation.dialects.openai_chat import dialect as openai_chat
from proxy.translation.dialects.openai_responses import dialect as openai_responses

REGISTRY: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        openai_chat.DIALECT,
        anthropic.DIALECT,
        openai_responses.DIALECT,
        bedrock.DIALECT,
    )
}
DEFAULT = openai_chat.DIALECT
"""The dialect of new upstreams, and of clients that nothing identifies."""


def register(dialect: Dialect) -> None:
    """Add a dialect from outside this package, for example a test's from ``sitecustomize``.

    To be called before the gateway is imported: :mod:`~proxy.translation.dialects.lookup` and others derive tables at import.
    Raises :class:`RuntimeError` when that has happened.
    """
    if "proxy.translation.dialects.lookup" in sys.modules:
        raise RuntimeError(f"register({dialect.name}) comes too late: tables have been derived from the registry")
    REGISTRY[dialect.name] = dialect
