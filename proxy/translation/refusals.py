"""What an upstream refuses when it answers 400, 401, 403, 404 or 422: its credential, the account behind it, or this request.

The status does not say it: providers answer 401 for a model that is not in the plan, 403 for a flagged prompt, and 400 for an
account without balance or an expired key. The error's codes and words do. Text in quotation marks is ignored, because servers
quote the client's own words. Sources: the providers' public error documentation and public reports about routers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from proxy.translation.errors import About, Kind

REFUSING_STATUSES = frozenset({400, 401, 403, 404, 422})

BILLING_CODES = frozenset(
    {
        "insufficient_quota",
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_user_quota",
        "insufficient_funds",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_limit_user_error",
        "billing_not_active",
        "payment_required",
        "arrearage",
        "credit_balance_too_low",
        "spend_limit_exceeded",
    }
)
"""Codes and types of an account without balance, in lower case."""
_BILLING_WORDS = re.compile(
    r"credit balance|credits? (?:is|are|has|have) (?:been )?(?:exhausted|depleted|used up|too low)"
    r"|(?:insufficient|not enough|no|run out of|out of|exceeded your) (?:\w+ )?(?:balance|credits?|funds|current quota|account balance)\b"
    r"|(?:reached|exceeded) (?:your|the) (?:\w+ )?(?:api )?(?:usage|spend(?:ing)?|monthly|billing|budget) limit"
    r"|billing hard limit|key limit exceeded|billing (?:details|is not|to be enabled|has been disabled)|account is in good standing"
    r"|payment (?:is )?required|overdue (?:payment|balance)|余额不足|欠费|账户已欠费"
)

CREDENTIAL_CODES = frozenset(
    {
        "invalid_api_key",
        "incorrect_api_key",
        "api_key_invalid",
        "invalid_authentication",
        "invalid_authentication_error",
        "authentication_error",
        "authenticationerror",
        "autherror",
        "invalid_auth",
        "invalid_token",
        "token_expired",
        "expired_token",
        "invalid_organization",
        "permission_error",
        "permission_denied",
        "permissiondenied",
        "unauthenticated",
        "account_deactivated",
        "account_suspended",
        "account_disabled",
        "organization_restricted",
        "organization_disabled",
        "key_disabled",
        "key_expired",
        "unrecognizedclientexception",
        "invalidsignatureexception",
        "incompletesignatureexception",
        "missingauthenticationtokenexception",
        "expiredtokenexception",
    }
)
"""Codes and types of a refused credential, in lower case."""
PERMISSION_CODES = frozenset({"permission_error", "permission_denied", "permissiondenied"})
"""Those of them that clients know as an error of their own request: with 403 and no words about the credential they are forwarded."""
_CREDENTIAL_WORDS = re.compile(
    r"api[ _-]?keys?\b|x-api-key|(?:invalid|incorrect|expired|revoked|disabled|missing|unknown|wrong|your|subscription|access|such) key\b"
    r"|\bkey (?:is|was|has|has been|not) (?:\w+ )?(?:invalid|incorrect|expired|revoked|disabled|valid|found|active)"
    r"|credentials?\b|authenticat|authori[sz]ation|\bbearer\b|\boauth\b|password|security token|signature"
    r"|(?:invalid|incorrect|expired|revoked|missing) (?:\w+ )?token\b"
    r"|token (?:is|was|has|has been) (?:\w+ )?(?:invalid|incorrect|expired|revoked)"
    r"|(?:account|organi[sz]ation|project|workspace|user) (?:is|was|has been|has) (?:been )?"
    r"(?:disabled|deactivated|suspended|restricted|banned|closed|blocked|terminated|deleted|not active|inactive)"
    r"|member of an organi[sz]ation|access terminated"
)
_CLEAR_CREDENTIAL_WORDS = re.compile(
    r"^\W*(?:error: )?(?:this |your |the |an? )?(?:provided |given )?(?:"
    r"api[ _-]?key (?:provided )?(?:has |is |was |not )?(?:been )?"
    r"(?:expired|invalid|not valid|not found|revoked|disabled|deactivated|valid|incorrect)"
    r"|(?:incorrect|invalid|expired|revoked|missing|wrong) (?:x-)?api[ _-]?key"
    r"|(?:account|organi[sz]ation|workspace) (?:\S+ )?(?:is|was|has been|has) (?:been )?"
    r"(?:disabled|deactivated|suspended|restricted|banned|closed|blocked|terminated)"
    r")"
)
"""How a message about the credential begins. At 400 and 422 only these count: such messages are usually about the client's body."""

_MODEL_WORDS = re.compile(r"\b(?:models?|deployments?|engines?)\b(?!\.\w)")
_REQUEST_WORDS = re.compile(
    r"\bprompts?\b|moderat|\bflagged\b|content (?:policy|filter|management)|usage polic|policy violation|prohibited|\bharmful\b|\bunsafe\b"
    r"|violat|safety|\bregions?\b|\bcountr(?:y|ies)\b|territor|\blocations?\b|geograph|\bplans?\b|\btiers?\b|subscription (?:does|do|plan)"
    r"|firewall|request (?:was |has been |is )?blocked|cloudflare|captcha"
)
_REQUEST_CODES = frozenset(
    {"model_not_found", "modelerror", "model_not_available", "content_filter", "content_policy_violation", "moderation", "flagged"}
    | {"unsupported_country_region_territory", "region_not_supported", "moderation_blocked", "prompt_blocked"}
)
_REGION_WORDS = re.compile(
    r"(?:country|region|territory|location)\b.{0,40}\b(?:not (?:supported|available|allowed)|unsupported|blocked)"
    r"|not (?:supported|available) in your (?:country|region|location|territory)"
)
_OBJECT_WORDS = re.compile(r"\b(?:previous response|response|file|container|conversation|thread|vector store|assistant|batch|item)s?\b")
_QUOTED = re.compile(r"(?<!\w)'[^'\n]*'(?!\w)|\"[^\"\n]*\"|`[^`\n]*`|“[^”\n]*”|«[^»\n]*»")
_SEARCHED = 4000
"""Characters of a message that are searched."""


class Refusal(NamedTuple):
    """The kind of the failure, and what is refused (see ``Failure.about``)."""

    kind: Kind
    about: About


def refusal_of(status: int, message: str, codes: Iterable[str] = (), *, is_page: bool = False) -> Refusal | None:
    """What a response refuses; ``None`` if only its status counts.

    ``codes``: the codes and types of the error. ``is_page``: the body is HTML, thus of a proxy or firewall in front of the API.
    """
    if status not in REFUSING_STATUSES:
        return None
    names = {code.lower() for code in codes}
    lowered = _QUOTED.sub("''", message[:_SEARCHED]).lower()
    if names & BILLING_CODES or _BILLING_WORDS.search(lowered):
        return Refusal("billing", "credential")
    if status == 404:
        return _not_found(lowered, names)
    if status in (400, 422):
        return _bad_request(lowered, names)
    if (model := _MODEL_WORDS.search(lowered)) or names & _REQUEST_CODES or _REQUEST_WORDS.search(lowered):
        return Refusal("model_not_found" if model and status == 401 else "permission", "request")
    if _CREDENTIAL_WORDS.search(lowered) or names & (CREDENTIAL_CODES - PERMISSION_CODES):
        return Refusal("upstream_auth", "credential")
    if names & PERMISSION_CODES:
        return Refusal("upstream_auth" if status == 401 else "permission", "credential")
    if is_page and status == 403:
        return Refusal("permission", "request")
    return None


def _bad_request(lowered: str, names: set[str]) -> Refusal | None:
    if _REGION_WORDS.search(lowered) or "unsupported_country_region_territory" in names:
        return Refusal("permission", "request")
    if names & (CREDENTIAL_CODES - {"permission_error"}) or _CLEAR_CREDENTIAL_WORDS.search(lowered):
        return Refusal("upstream_auth", "credential")
    return None


def _not_found(lowered: str, names: set[str]) -> Refusal | None:
    """An object of the provider that the client named, such as a stored response. Unknown models are left to routing."""
    if "model_not_found" in names or _MODEL_WORDS.search(lowered) or not _OBJECT_WORDS.search(lowered):
        return None
    return Refusal("not_found", "request")


def is_page(body: bytes) -> bool:
    """Whether a body is HTML or XML instead of an error of the API."""
    return body[:64].lstrip()[:1] == b"<"
