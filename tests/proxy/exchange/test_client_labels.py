"""Tags, sessions and traces of requests, tested without a gateway."""

import json

import pytest

from accounts.keys import Key
from proxy.exchange import client_labels
from proxy.exchange.http_request import Headers
from proxy.translation.dialects.registry import REGISTRY
from tests.support.settings import with_config

USER_ID = json.dumps({"device_id": "d", "account_uuid": "a", "session_id": "s"})


def tags(headers=(), metadata=None, key_tags=None):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **({} if metadata is None else {"metadata": metadata})}
    envelope = REGISTRY["openai_chat"].open_request(json.dumps(body).encode())
    return client_labels.tags(Headers(headers), envelope, Key(id="1", tags=key_tags or {}))


def test_only_declared_tags_are_read():
    assert tags([(b"X-Pxbin-Tag-Team", b" red "), (b"x-pxbin-tag-color", b"blue")], {"project": "p", "city": "c"}) == {
        "team": "red",
        "project": "p",
    }


def test_a_request_without_tags_has_none():
    assert [tags(), tags(metadata={}), tags(metadata={"team": ""}), tags([(b"x-pxbin-tag-team", b"")])] == [None] * 4


def test_the_key_comes_before_the_header_and_the_header_before_the_body():
    headers, metadata = (
        [(b"x-pxbin-tag-team", b"header"), (b"x-pxbin-tag-project", b"header")],
        dict.fromkeys(("team", "project", "user"), "body"),
    )
    assert tags(headers, metadata, {"team": "key"}) == {"team": "key", "project": "header", "user": "body"}


@pytest.mark.parametrize("metadata", [5, "x", ["team"], {"team": 5}, {"team": None}, {"team": ["a"]}])
def test_metadata_of_another_shape_has_no_tags(metadata):
    assert tags(metadata=metadata) is None


def test_values_are_bounded_and_valid_in_every_database():
    assert tags([(b"x-pxbin-tag-team", b"x" * 500)], {"project": "a\0b"}) == {"team": "x" * 100, "project": "ab"}


def test_an_underscore_is_a_dash_in_the_header():
    with with_config(tag_keys=("cost_center",)):
        assert tags([(b"x-pxbin-tag-cost-center", b"7")]) == {"cost_center": "7"}


def test_the_user_id_of_an_agent_is_its_account():
    with with_config(tag_keys=("user_id",)):
        assert tags(metadata={"user_id": USER_ID}) == {"user_id": "a"}


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        (USER_ID, ("a", "s")),
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s"}), ("d", "s")),
        ("user_d_account_a_session_s", ("user_d_account_a", "s")),
        ("anna", ("anna", "")),
        ("{no json", ("{no json", "")),
        ("{}", ("{}", "")),
    ],
)
def test_a_user_id_names_a_person_and_perhaps_a_session(user_id, expected):
    assert client_labels.split_user_id(user_id) == expected


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        (b"x-trace-id", b"t", "t"),
        (b"ah-trace-id", b"t" * 300, "t" * 256),
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"traceparent", b"odd", "odd"),
        (b"x-other", b"t", ""),
    ],
)
def test_a_header_names_the_trace(header, value, expected):
    assert client_labels.named_trace(Headers([(header, value)])) == expected


@pytest.mark.parametrize("header", client_labels.SESSION_HEADERS)
def test_a_header_names_the_session(header):
    assert client_labels.named_session(Headers([(header.encode(), b"s")])) == "s"
