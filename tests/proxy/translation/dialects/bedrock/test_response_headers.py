"""Headers of InvokeModel responses."""

import pytest

from proxy.translation.canonical import Usage
from proxy.translation.dialects.bedrock.dialect import DIALECT


@pytest.mark.parametrize(
    ("usage", "events"),
    [
        (None, {"content-type": "application/json"}),
        (Usage(fresh=3, output=2), {"input-token-count": "3", "output-token-count": "2"}),
        (
            Usage(fresh=3, cache_read=5, cache_write_5m=1, cache_write_1h=1, output=2),
            {
                "input-token-count": "3",
                "output-token-count": "2",
                "cache-read-input-token-count": "5",
                "cache-write-input-token-count": "2",
            },
        ),
    ],
)
def test_headers_have_the_token_counts(usage: Usage | None, events: dict[str, str]) -> None:
    assert DIALECT.answer_headers is not None
    assert DIALECT.answer_headers(usage) == {f"x-amzn-bedrock-{name}": value for name, value in events.items()}
