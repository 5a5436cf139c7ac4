"""All dialects by name. A new dialect needs a folder and an entry here."""

import sys

from proxy.translation.dialects.anthropic import dialect as anthropic
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.bedrock import dialect as bedrock
from proxy.translation.dialects.bedrock_converse import dialect as bedrock_converse
from proxy.translation.dialects.gemini import dialect as gemini
from proxy.translation.dialects.openai_chat import dialect as openai_chat
from proxy.translation.dialects.openai_responses import dialect as openai_responses

REGISTRY: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        openai_chat.DIALECT,
        anthropic.DIALECT,
        openai_responses.DIALECT,
        bedrock.DIALECT,
        gemini.DIALECT,
        bedrock_converse.DIALECT,
    )
}
DEFAULT = openai_chat.DIALECT
"""The dialect of new upstreams, and of clients whose dialect neither path nor headers show."""


def register(dialect: Dialect) -> None:
    """Add a dialect from outside this package, for example a test's from ``sitecustomize``.

    Must be called before :mod:`~proxy.translation.dialects.lookup` is imported, because tables are derived from the registry then.
    Raises :class:`RuntimeError` after that.
    """
    if "proxy.translation.dialects.lookup" in sys.modules:
        raise RuntimeError(f"register({dialect.name}) was called too late: tables were already derived from the registry")
    REGISTRY[dialect.name] = dialect
