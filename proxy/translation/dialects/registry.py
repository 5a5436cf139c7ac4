"""The dialects that the gateway speaks, by name. A new one is a folder and a line here."""

from proxy.translation.dialects.anthropic import dialect as anthropic
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.bedrock import dialect as bedrock
from proxy.translation.dialects.openai_chat import dialect as openai_chat
from proxy.translation.dialects.openai_responses import dialect as openai_responses

REGISTRY: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        anthropic.DIALECT,
        bedrock.DIALECT,
        openai_chat.DIALECT,
        openai_responses.DIALECT,
    )
}
