"""The dialects that the gateway speaks, by name. A new one is a folder and a line here."""

from proxy.translation.dialects import anthropic, bedrock, openai_chat, openai_responses
from proxy.translation.dialects.base import Dialect

REGISTRY: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        anthropic.DIALECT,
        bedrock.DIALECT,
        openai_chat.DIALECT,
        openai_responses.DIALECT,
    )
}
