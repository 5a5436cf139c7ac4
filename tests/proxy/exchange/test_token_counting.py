"""Our own count of tokens: texts of any length."""

import asyncio

import pytest

from proxy.exchange.token_counting import estimated
from proxy.translation.canonical import Message, Request, Text
from proxy.translation.token_estimate import PER_MESSAGE


@pytest.mark.filterwarnings("ignore:open_binary is deprecated")  # the tokenizer's package reads its vocabulary with it
def test_a_text_of_more_than_a_million_characters_is_counted():
    text = "word " * 240_000
    request = Request(model="m", messages=(Message(role="user", parts=(Text(text),)),), family="")
    tokens = asyncio.run(estimated(request)) - PER_MESSAGE
    assert 240_000 <= tokens <= 240_000 + 2 * len(text) // 10_000
