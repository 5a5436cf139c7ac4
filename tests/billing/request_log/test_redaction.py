"""What is removed from captured bodies before they are stored."""

import pytest
from django.core.exceptions import ValidationError

from billing.models import RedactionRule
from billing.request_log import redaction
from billing.request_log.redaction import REDACTION_MARGIN, cut, redact


@pytest.fixture
def rules(db):
    yield lambda *pairs: [RedactionRule.objects.create(name=pattern, pattern=pattern, replacement=text) for pattern, text in pairs]
    redaction._rules.clear()


@pytest.mark.parametrize(
    "secret",
    [
        "pxb_" + "0a" * 20, "sk-ant-api03-" + "Ab1_" * 8, "sk-proj-" + "x1" * 20, "gsk_" + "a" * 30, "AIza" + "B" * 35, "AKIA" + "Q" * 16,
        "ghp_" + "c" * 36, "xoxb-1234567890-abc", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0aaaa.c2lnbmF0dXJl",
    ],
)  # fmt: skip
def test_credentials_are_removed_wherever_they_are(secret):
    assert redact(f'{{"text": "before {secret} after"}}') == '{"text": "before *** after"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"api_key": "short1"}', '{"api_key": "***"}'),
        (r'"{\"password\": \"hunter22\"}"', r'"{\"password\": \"***\"}"'),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***"),
        ("Authorization: Bearer abcdefghijk.123", "Authorization: Bearer ***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "***\nrest"),
        ('{"max_tokens": 100, "token": 5, "secretary": "Anna", "task": "sk-ating"}',) * 2,
    ],
)
def test_named_secrets_are_removed_and_other_text_stays(text, expected):
    assert redact(text) == expected


def test_the_secrets_of_the_upstream_are_removed_but_no_placeholder():
    assert redact("custom-secret-1 and ollama", ["custom-secret-1", "ollama", ""]) == "*** and ollama"


def test_rules_of_the_admin_replace_what_they_match(rules):
    rules((r"[\w.]+@[\w.]+", r"<mail \1>"), ("[0-9]{4}", "****"))
    redaction.refresh()
    assert redact("anna@example.org, 1234") == r"<mail \1>, ****"


def test_an_inactive_rule_does_nothing(rules):
    rules(("a", "b"))
    RedactionRule.objects.update(is_active=False)
    redaction.refresh()
    assert redact("a") == "a"


@pytest.mark.parametrize("pattern", ["(", "a*", "", r"(a+)+$", r"(\w+\s?)+$", r"([0-9]+)*!{9}"])
def test_a_pattern_that_is_no_good_is_refused(db, pattern):
    with pytest.raises(ValidationError):
        RedactionRule(name="x", pattern=pattern).full_clean()


@pytest.mark.parametrize("length", [10, 4096, 9000, 30_000])
def test_a_body_is_cut_after_it_was_redacted(length):
    text, is_cut = cut(b"x" * length, 4096)
    assert (len(text), is_cut) == (min(length, 4096), length > 4096)


@pytest.mark.parametrize("before", range(90, 101))
def test_no_half_of_a_credential_is_left_where_a_body_is_cut(before):
    secret = "sk-" + "Ab1" * 12
    text, _ = cut(("." * before + secret + "." * 3 * REDACTION_MARGIN).encode(), 100)
    assert text == ("." * before + "***" + "." * 100)[:100]


def test_no_half_of_a_credential_is_left_where_the_copy_ends():
    secret = "sk-" + "Ab1" * 12
    end = 100 * 4 + REDACTION_MARGIN
    raw = ((secret + " ") * (end // 40 + 9)).encode()
    text, _ = cut(raw, 1000)
    assert "Ab1" not in text
