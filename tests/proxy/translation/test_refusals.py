"""What providers refuse, with their own error texts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.refusals import REFUSING_STATUSES, refusal_of

CREDENTIAL = ("upstream_auth", "credential")
BILLING = ("billing", "credential")
REQUEST = ("permission", "request")
MODEL = ("model_not_found", "request")
UNKNOWN = None

CASES = [
    # the credential
    (401, "Incorrect API key provided: sk-x. You can find your API key at https://platform.openai.com.", ("invalid_api_key",), CREDENTIAL),
    (401, "invalid x-api-key", ("authentication_error",), CREDENTIAL),
    (401, "nope", ("authentication_error",), CREDENTIAL),
    (403, "nope", ("permission_error",), ("permission", "credential")),
    (403, "Your API key does not have permission to use the specified resource", ("permission_error",), CREDENTIAL),
    (401, "No auth credentials found", ("401",), CREDENTIAL),
    (401, "Invalid Authentication", ("invalid_authentication_error",), CREDENTIAL),
    (403, "Authorization failed", (), CREDENTIAL),
    (
        401,
        "Access denied due to invalid subscription key or wrong API endpoint. Use a correct regional API endpoint.",
        ("401",),
        CREDENTIAL,
    ),
    (401, "OAuth token has expired", (), CREDENTIAL),
    (403, "The security token included in the request is invalid.", ("UnrecognizedClientException",), CREDENTIAL),
    (403, "Your account has been suspended", (), CREDENTIAL),
    (403, "Your API key was reported as leaked. Please use another API key.", (), CREDENTIAL),
    (400, "API key expired. Please renew the API key.", ("400",), CREDENTIAL),
    (400, "API key not valid. Please pass a valid API key.", (), CREDENTIAL),
    (400, "Incorrect API key provided: xa***.", (), CREDENTIAL),
    (400, "This organization has been disabled.", ("invalid_request_error",), CREDENTIAL),
    (400, "Organization has been restricted. Please reach out to support.", ("organization_restricted",), CREDENTIAL),
    (403, "This organization has been disabled.", ("invalid_request_error",), CREDENTIAL),
    # the account
    (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.", (), BILLING),
    (400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.", (), BILLING),
    (403, "Your credit balance is too low to access the Anthropic API.", ("permission_error",), BILLING),
    (400, "Billing hard limit has been reached", ("billing_hard_limit_reached", "billing_limit_user_error"), BILLING),
    (403, "Billing hard limit has been reached", (), BILLING),
    (400, "Access denied, please make sure your account is in good standing.", ("Arrearage",), BILLING),
    (403, "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys", (), BILLING),
    (403, "Insufficient Balance", (), BILLING),
    (403, "You have run out of credits", (), BILLING),
    (403, "用户额度不足, 余额不足", (), BILLING),
    # this request
    (401, "Model typo-1 is not supported", ("ModelError",), MODEL),
    (401, "Your API key does not have access to model gpt-9", ("invalid_api_key",), MODEL),
    (403, "Project `p` does not have access to model `typo-1`", ("model_not_found", "invalid_request_error"), REQUEST),
    (403, "You don't have access to the model with the specified model ID.", ("AccessDeniedException",), REQUEST),
    (403, "Input was flagged", ("403",), REQUEST),
    (403, "Your input was flagged by moderation", ("permission_error",), REQUEST),
    (403, "Your prompt was rejected by our safety system", ("authentication_error",), REQUEST),
    (403, "Country, region, or territory not supported", ("unsupported_country_region_territory",), REQUEST),
    (400, "User location is not supported for the API use.", ("400",), REQUEST),
    (403, "This feature is not part of your plan", ("permission_error",), REQUEST),
    (403, "Access denied due to Virtual Network/Firewall rules.", ("403",), REQUEST),
    (404, "Previous response with id 'resp_1' not found.", ("previous_response_not_found",), ("not_found", "request")),
    (404, "No such File object: file-abc", (), ("not_found", "request")),
    # nothing is said
    (401, "Unauthorized", (), UNKNOWN),
    (403, "", (), UNKNOWN),
    (403, "Request not allowed", ("forbidden",), UNKNOWN),
    (404, "The model `typo` does not exist", ("model_not_found",), UNKNOWN),
    (400, "Invalid value for 'api key expired': must be a string", (), UNKNOWN),
    (400, "tools.0.name: `This organization has been disabled` is not a name", (), UNKNOWN),
    (400, "messages: the text 'insufficient balance' is not allowed here", (), UNKNOWN),
    (400, "max_tokens: 9 exceeds the hard limit of 8", (), UNKNOWN),
    (400, "The model foo is not available in this plan", (), UNKNOWN),
    (429, "You exceeded your current quota, please check your plan and billing details", ("insufficient_quota",), UNKNOWN),
    (500, "Incorrect API key provided", ("invalid_api_key",), UNKNOWN),
]


@pytest.mark.parametrize(("status", "message", "codes", "refusal"), CASES, ids=str)
def test_texts_and_codes_of_a_refusal_decide_its_subject(status, message, codes, refusal):
    assert refusal_of(status, message, codes) == refusal


def test_a_page_of_a_firewall_is_about_the_request_and_a_page_that_demands_a_login_says_nothing():
    assert (refusal_of(403, "", is_page=True), refusal_of(401, "", is_page=True)) == (REQUEST, None)


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic", "bedrock"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "about"),
    [
        (401, {"error": {"message": "invalid x-api-key", "type": "authentication_error"}}, "upstream_auth", "credential"),
        (401, {"error": {"message": "Model typo-1 is not supported", "type": "ModelError"}}, "model_not_found", "request"),
        (403, {"error": {"message": "Input was flagged", "code": 403}}, "permission", "request"),
        (400, [{"error": {"code": 400, "message": "API key expired. Please renew the API key."}}], "upstream_auth", "credential"),
        (400, {"error": {"message": "Your credit balance is too low"}}, "billing", "credential"),
        (403, "<html><title>Attention Required!</title></html>", "permission", "request"),
        (401, "", "upstream_auth", ""),
        (403, "", "permission", ""),
    ],
    ids=str,
)
def test_every_dialect_reads_what_a_refusal_is_about(dialect, status, body, kind, about):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    failure = REGISTRY[dialect].decode_error(status, {}, raw)
    assert (failure.kind, failure.about) == (kind, about)


def test_a_bedrock_exception_names_the_refused_credential():
    failure = REGISTRY["bedrock"].decode_error(403, {"x-amzn-errortype": "com.amazon#InvalidSignatureException:http://x"}, b"{}")
    assert (failure.kind, failure.about) == ("upstream_auth", "credential")


@given(st.sampled_from(sorted(REFUSING_STATUSES)), st.text(), st.lists(st.text()))
def test_any_message_is_read(status, message, codes):
    refusal = refusal_of(status, message, codes)
    assert refusal is None or refusal.about in ("credential", "request")
