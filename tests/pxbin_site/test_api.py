"""How the management API reads its bodies."""

import pytest
from django.test import RequestFactory

from pxbin_site.api import StorableJson


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"name": "a\u0000b"}', {"name": "ab"}),
        (rb'{"name": "a\ud800b"}', {"name": "a�b"}),
        (rb'{"metadata": {"\u0000a": ["\udc00", 1, null]}}', {"metadata": {"a": ["�", 1, None]}}),
        (rb'{"name": "\ud83d\ude00"}', {"name": "😀"}),
    ],
)
def test_what_no_database_keeps_is_not_read(body: bytes, read: object) -> None:
    request = RequestFactory().post("/api/v1/keys", body, content_type="application/json")
    assert StorableJson().parse_body(request) == read
