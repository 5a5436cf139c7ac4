"""Redaction of captured bodies before they are stored: credentials always, and what the rules of the admin match.

The rules are cached in each web process (`accounts.cache_revisions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from billing.models import RedactionRule

MASK = "***"
SHORTEST_SECRET = 8
_TOKENS = re.compile(
    r"""
    \b(?:
        px[bm]_[0-9a-f]{20,}                                     # keys of this gateway
      | (?:sk|pk|rk)-[A-Za-z0-9_-]{16,}                          # OpenAI, Anthropic, OpenRouter and others
      | (?:gsk|xai|hf|r8|nvapi|pplx|fw|tgp_v1|csk)[_-][A-Za-z0-9_-]{16,}  # Groq, xAI, Hugging Face and others
      | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_.-]{20,}       # Google
      | (?:AKIA|ASIA)[A-Z0-9]{16}                                # AWS
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_-]{16,}
      | xox[abeoprs]-[A-Za-z0-9-]{10,}                           # Slack
      | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}     # JSON Web Tokens
    )
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""(?ix)
    ( (?: api[_-]?key | apikey | secret(?:[_-]?(?:access[_-]?)?key)? | access[_-]?token | refresh[_-]?token | auth[_-]?token | password
        | passwd | client[_-]?secret | session[_-]?token ) \\?["']? \s{0,3} [:=] \s{0,3} \\?["']? )
    ( [^\s"'\\,;&}]{4,200} )
    """
)
_SCHEMES = re.compile(r"(?i)\b(bearer|basic)\s{1,3}[A-Za-z0-9+/=._~-]{8,}")
_PRIVATE_KEYS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?")

_rules: list[tuple[re.Pattern[str], str]] = []


def refresh() -> None:
    """Read the rules of the admin."""
    _rules[:] = [(re.compile(rule.pattern), rule.replacement) for rule in RedactionRule.objects.filter(is_active=True)]


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without credentials, without `secrets`, and without what the rules match."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    text = _PRIVATE_KEYS.sub(MASK, text)
    text = _SCHEMES.sub(rf"\1 {MASK}", text)
    text = _TOKENS.sub(MASK, text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    for pattern, replacement in _rules:
        text = pattern.sub(lambda _match, replacement=replacement: replacement, text)  # type: ignore[misc]
    return text


def cut(raw: bytes, max_chars: int, secrets: Sequence[str] = ()) -> tuple[str, bool]:
    """The first characters of a body, redacted, and whether it was longer.

    What is cut is cut well behind the part that is stored before it is redacted, so that no half of a credential is left.
    """
    margin = max_chars * 4 + REDACTION_MARGIN
    is_cut = len(raw) > margin
    text = redact(raw[:margin].decode("utf-8", "replace"), secrets)
    if is_cut:
        text = text[: -REDACTION_MARGIN // 4]
    return text[:max_chars], is_cut or len(text) > max_chars


REDACTION_MARGIN = 2048
"""Bytes behind the stored part of a body that are redacted with it."""
