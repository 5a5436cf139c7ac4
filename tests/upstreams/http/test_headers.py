"""Which headers go up and which come down."""

import pytest

from proxy.exchange.http_request import Headers
from upstreams.http import headers


def client(**fields: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


PRIVATE = client(
    authorization="Bearer pxb_x",
    x_api_key="pxb_x",
    cookie="a=b",
    referer="https://intranet/",
    origin="https://intranet",
    x_forwarded_for="10.0.0.1",
    x_real_ip="10.0.0.1",
    forwarded="for=10.0.0.1",
    proxy_authorization="x",
    openai_organization="org",
    openai_project="p",
    user_agent="claude-cli/2",
    x_stainless_lang="js",
    connection="x-secret",
    x_secret="x",
    host="pxbin",
    anthropic_version="2026-10-21",
    anthropic_beta="a,b",
)


def test_an_anthropic_upstream_gets_version_and_betas_and_nothing_else_of_the_client() -> None:
    assert headers.upward(PRIVATE, "anthropic", stream=True) == [
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "a,b"),
    ]


def test_the_workspace_and_the_user_profile_of_the_client_go_up_to_anthropic_upstreams_alone() -> None:
    named = client(anthropic_workspace_id="wrkspc_1", anthropic_user_profile_id="uprof_1")
    assert headers.upward(named, "anthropic", stream=False)[2:] == [
        ("anthropic-workspace-id", "wrkspc_1"),
        ("anthropic-user-profile-id", "uprof_1"),
        ("anthropic-version", "2023-06-01"),
    ]
    assert [headers.upward(named, dialect, stream=False)[2:] for dialect in ("openai_chat", "openai_responses", "bedrock")] == [[], [], []]


KEY = "pxb_" + "0" * 40


def test_what_holds_a_key_of_ours_does_not_go_up_in_any_header() -> None:
    slipped = client(anthropic_version=KEY, anthropic_beta=f"a,{KEY}", anthropic_workspace_id=KEY, x_amzn_bedrock_trace=KEY)
    assert headers.upward(slipped, "anthropic", stream=False, betas=("a", KEY))[2:] == [("anthropic-version", "2023-06-01")]
    assert headers.upward(slipped, "bedrock", stream=False)[2:] == []


def test_an_anthropic_upstream_gets_the_clients_user_profile_and_workspace() -> None:
    client_headers = client(anthropic_user_profile_id="prof_1", anthropic_workspace_id="wrkspc_1", anthropic_organization_id="org_1")
    assert headers.upward(client_headers, "anthropic", stream=False)[2:] == [
        ("anthropic-user-profile-id", "prof_1"),
        ("anthropic-workspace-id", "wrkspc_1"),
        ("anthropic-version", "2023-06-01"),
    ]
    assert len(headers.upward(client_headers, "bedrock", stream=False)) == 2


def test_the_version_that_goes_up_is_known() -> None:
    newer = client(anthropic_version="2026-10-21")
    dialects = ("anthropic", "bedrock", "openai_chat")
    assert [headers.api_version(newer, dialect) for dialect in dialects] == ["2026-10-21", "", ""]
    assert headers.api_version(client(anthropic_version=KEY), "anthropic") == "2023-06-01"


def test_the_version_has_a_default() -> None:
    assert headers.upward(client(), "anthropic", stream=False)[2:] == [("anthropic-version", "2023-06-01")]


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "bedrock", "passthrough"])
def test_other_upstreams_get_nothing_of_the_client(dialect: str) -> None:
    assert headers.upward(PRIVATE, dialect, stream=False) == [("content-type", "application/json"), ("accept", "application/json")]


def test_bedrock_gets_its_own_headers_and_is_asked_for_its_own_frames() -> None:
    client_headers = client(
        x_amzn_bedrock_guardrailidentifier="g1", x_amzn_bedrock_trace="ENABLED", x_amz_security_token="t", x_amz_date="d"
    )
    assert headers.upward(client_headers, "bedrock", stream=True) == [
        ("content-type", "application/json"),
        ("accept", "application/vnd.amazon.eventstream"),
        ("x-amzn-bedrock-guardrailidentifier", "g1"),
        ("x-amzn-bedrock-trace", "ENABLED"),
    ]
    assert len(headers.upward(client_headers, "openai_chat", stream=True)) == 2


def test_the_content_type_may_be_another() -> None:
    assert headers.upward(client(), "openai_chat", stream=False, content_type="multipart/form-data; boundary=x")[0] == (
        "content-type",
        "multipart/form-data; boundary=x",
    )


def test_rate_limit_headers_retry_hints_and_the_upstreams_request_id_reach_the_client() -> None:
    received = {
        "Retry-After": "3",
        "retry-after-ms": "2500",
        "X-Should-Retry": "true",
        "Anthropic-Ratelimit-Requests-Remaining": "0",
        "x-ratelimit-limit-tokens": "10",
        "openai-processing-ms": "12",
        "X-Request-Id": "req_1",
        "Set-Cookie": "a=b",
        "Server": "cloudflare",
        "CF-Ray": "x",
        "Content-Length": "3",
        "Content-Encoding": "gzip",
        "Content-Type": "application/json",
        "openai-organization": "our-account",
        "anthropic-organization-id": "our-account",
        "Connection": "close",
        "Access-Control-Allow-Origin": "*",
    }
    assert headers.downward(received) == [
        ("retry-after", "3"),
        ("retry-after-ms", "2500"),
        ("x-should-retry", "true"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("x-ratelimit-limit-tokens", "10"),
        ("openai-processing-ms", "12"),
        ("x-upstream-request-id", "req_1"),
    ]


def test_a_response_without_such_headers_adds_none() -> None:
    assert headers.downward({"content-type": "application/json"}) == []


@pytest.mark.parametrize(
    ("allowed", "expected"), [(None, "one, two,three"), (("three", "one"), "one,three"), ((), None)], ids=["all", "some", "none"]
)
def test_only_allowed_betas_go_up(allowed, expected):
    up = dict(headers.upward(client(anthropic_beta="one, two,three"), "anthropic", stream=False, betas=allowed))
    assert up.get("anthropic-beta") == expected
