import pytest

from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.http.auth_headers import headers

SECRET = CredentialEntry(id="c", secret="sk-1")


def headers_of(dialect, credential=SECRET, **fields):
    return headers(UpstreamEntry(id="u", name="u", base_url="http://x", dialect=dialect, **fields), credential)


@pytest.mark.parametrize(
    ("dialect", "header"),
    [
        ("openai_chat", ("authorization", "Bearer sk-1")),
        ("openai_responses", ("authorization", "Bearer sk-1")),
        ("anthropic", ("x-api-key", "sk-1")),
        ("bedrock", ("authorization", "Bearer sk-1")),
        ("passthrough", ("authorization", "Bearer sk-1")),
    ],
)
def test_each_dialect_has_its_own_header(dialect, header):
    assert headers_of(dialect) == [header]


@pytest.mark.parametrize(
    ("auth_header", "auth_scheme", "header"),
    [
        ("api-key", "", ("api-key", "sk-1")),
        ("X-Token", "Token", ("X-Token", "Token sk-1")),
        ("", "Token", ("authorization", "Token sk-1")),
        ("Authorization", "", ("Authorization", "sk-1")),
    ],
)
def test_an_upstream_may_use_another_credential_header(auth_header, auth_scheme, header):
    assert headers_of("openai_chat", auth_header=auth_header, auth_scheme=auth_scheme) == [header]


def test_extra_headers_go_along_and_win():
    assert headers_of("openai_chat", extra_headers={"x-team": "a"}) == [("authorization", "Bearer sk-1"), ("x-team", "a")]
    assert headers_of("openai_chat", extra_headers={"Authorization": "Basic x"}) == [("Authorization", "Basic x")]


def test_no_credential_means_no_header():
    assert (headers_of("openai_chat", None), headers_of("openai_chat", CredentialEntry(id="c"))) == ([], [])


def test_a_signing_secret_is_not_sent():
    assert headers_of("bedrock", CredentialEntry(id="c", secret="sk-1", access_key_id="AKIA")) == []


def test_a_credential_does_not_print_its_secret():
    assert "sk-1" not in f"{SECRET!r} {SECRET}"
