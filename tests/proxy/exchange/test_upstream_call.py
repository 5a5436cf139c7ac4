"""Secrets that upstreams repeat in their answers."""

import pytest

from proxy.exchange.upstream_call import UpstreamCall
from proxy.translation.errors import Failure
from upstreams.catalog.entries import CredentialEntry, ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.plan import Target

FIRST, SECOND, OLD = (CredentialEntry(id=name, secret=f"sk-secret-of-the-{name}-key") for name in ("first", "second", "old"))


def call(credential: CredentialEntry | None, *, headers: dict[str, str] | None = None, **fields: object) -> UpstreamCall:
    upstream = UpstreamEntry(id="u", name="u", base_url="http://x", dialect="openai_chat", credentials=(FIRST, SECOND), **fields)
    route = RouteEntry(id="r", upstream=upstream)
    model = ModelEntry(id="m", name="m", routes=(route,))
    target = Target(model=model, route=route, upstream=upstream, credential=credential, remote_name="r", quirks=upstream.quirks)
    return UpstreamCall(target, headers or {})


@pytest.mark.parametrize("repeated", [FIRST, SECOND, OLD])
def test_every_key_of_the_upstream_is_removed_from_errors(repeated: CredentialEntry) -> None:
    message = f"The key {repeated.secret} is over its limit"
    failure = call(OLD).redact_failure(Failure(kind="rate_limit", message=message))
    assert failure == Failure(kind="rate_limit", message="The key *** is over its limit")


def test_the_clients_own_credential_is_removed_where_it_was_passed_on() -> None:
    passed_on = call(None, headers={"authorization": "Bearer sk-own-credential-1234"}, pass_client_credentials=True)
    assert passed_on.redact_secrets(b"bad key sk-own-credential-1234") == b"bad key ***"


def test_an_answer_without_secrets_stays_the_same_object() -> None:
    failure = Failure(kind="rate_limit", message="slow down")
    assert call(FIRST).redact_failure(failure) is failure
