import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.messages import get_messages
from django.utils import timezone

from accounts import keys
from accounts.admin.budgets import forecast
from accounts.limits.budget_states import BudgetState
from accounts.models import ApiKey, Budget, ManagementKey, Pool
from billing.models import RequestLog
from billing.rollups import rebuild

pytestmark = pytest.mark.django_db

NO_LIMITS = {"rate_limit": "", "token_limit": "", "concurrency_limit": "", "budgets-TOTAL_FORMS": "0", "budgets-INITIAL_FORMS": "0"}
EMPTY_FIELDS = {"metadata": "{}", "expires_at_0": "", "expires_at_1": "", "allowed_models": ""}


def messages_of(response):
    """The messages that this response added; those of earlier ones wait in the same cookie for the next page."""
    return [str(message) for message in get_messages(response.wsgi_request)._queued_messages]


def add_key(admin_client, **fields):
    form = {"name": "laptop", "is_active": "on", "model_access": "all", **NO_LIMITS, **EMPTY_FIELDS, **fields}
    return admin_client.post("/admin/accounts/apikey/add/", form)


def test_a_key_created_in_the_admin_is_shown_once_and_only_its_hash_is_stored(admin_client):
    response = add_key(admin_client)
    (plaintext,) = set(re.findall(r"pxb_[0-9a-f]{40}", response.content.decode()))
    row = ApiKey.objects.get()
    assert (row.key_hash, row.key_prefix, row.name, row.allowed_models) == (keys.hash_key(plaintext), plaintext[:8], "laptop", None)
    assert (response.status_code, "no-store" in response["Cache-Control"], plaintext in str(response.cookies)) == (200, True, False)
    listed = admin_client.get("/admin/accounts/apikey/").content.decode()
    assert (plaintext in listed, plaintext[:8] in listed) == (False, True)


@pytest.mark.parametrize(
    "query", ["created_at__gte=0001-01-01+00:00:00%2B23:59", "created_at__lte=9999-12-31T23:59:59-23:59", "created_at__year=0"]
)
def test_a_time_that_the_calendar_does_not_have_is_an_invalid_filter(admin_client, query):
    response = admin_client.get(f"/admin/accounts/apikey/?{query}")
    assert (response.status_code, response["Location"]) == (302, "/admin/accounts/apikey/?e=1")


def test_a_new_key_is_shown_with_commands_for_clients(admin_client):
    text = html.unescape(add_key(admin_client).content.decode())
    (plaintext,) = set(re.findall(r"pxb_[0-9a-f]{40}", text))
    for line in (
        "export ANTHROPIC_BASE_URL=http://testserver",
        f"export ANTHROPIC_AUTH_TOKEN={plaintext}",
        "export ANTHROPIC_MODEL=echo",
        "curl http://testserver/v1/messages",
        f"-H 'x-api-key: {plaintext}'",
        f"-H 'Authorization: Bearer {plaintext}'",
        f"export OPENAI_API_KEY={plaintext}",
    ):
        assert line in text


def test_an_allowed_model_that_does_not_exist_is_a_warning(admin_client):
    response = add_key(admin_client, model_access="listed", allowed_models="gpt-4x")
    assert "laptop: there is no model gpt-4x yet." in response.content.decode()


@pytest.mark.parametrize(
    ("access", "lines", "allowed"),
    [
        ("all", "ignored", None),
        ("none", "ignored", []),
        ("listed", " gpt-5 \n\nclaude-*\ngpt-5", ["gpt-5", "claude-*"]),
    ],
)
def test_the_choice_of_models_sets_the_list_of_allowed_models(admin_client, access, lines, allowed):
    assert "Key created" in add_key(admin_client, model_access=access, allowed_models=lines).content.decode()
    assert ApiKey.objects.get().allowed_models == allowed
    page = admin_client.get(f"/admin/accounts/apikey/{ApiKey.objects.get().pk}/change/")
    assert page.context["adminform"].form.initial["model_access"] == access


def test_listed_models_need_at_least_one_name(admin_client):
    response = add_key(admin_client, model_access="listed")
    assert response.context["adminform"].form.errors == {"allowed_models": ["List at least one model, or select another option above."]}


def test_changing_a_key_keeps_its_hash_and_does_not_show_it(admin_client):
    plaintext, row = keys.issue("llm", name="old")
    form = {"name": "new", "is_active": "on", "model_access": "all", **NO_LIMITS, **EMPTY_FIELDS}
    response = admin_client.post(f"/admin/accounts/apikey/{row.pk}/change/", form)
    assert response.status_code == 302
    row.refresh_from_db()
    assert (row.name, row.key_hash) == ("new", keys.hash_key(plaintext))
    assert "pxb_" not in " ".join(messages_of(response)).replace(row.key_prefix, "")


def test_selected_keys_are_revoked_and_reactivated(admin_client):
    rows = [keys.issue("llm", name=str(number))[1] for number in range(3)]
    selected = {"_selected_action": [str(row.pk) for row in rows]}
    response = admin_client.post("/admin/accounts/apikey/", {"action": "revoke", **selected})
    assert messages_of(response) == ["3 API keys revoked."]
    assert set(ApiKey.objects.values_list("is_active", flat=True)) == {False}
    assert rows[0].history.first().is_active is False
    response = admin_client.post("/admin/accounts/apikey/", {"action": "reactivate", "_selected_action": [str(rows[0].pk)]})
    assert messages_of(response) == ["1 API key reactivated."]


def test_the_access_of_a_management_key_sets_its_permissions(admin_client):
    for access, permissions in (("read", ["read"]), ("write", ["read", "write"])):
        response = admin_client.post(
            "/admin/accounts/managementkey/add/",
            {"name": access, "is_active": "on", "access": access, "metadata": "", "expires_at_0": "", "expires_at_1": ""},
        )
        (plaintext,) = set(re.findall(r"pxm_[0-9a-f]{40}", response.content.decode()))
        row = ManagementKey.objects.get(name=access)
        assert (row.permissions, row.metadata) == (permissions, {})
        assert keys.authenticate_management(plaintext) == row


@pytest.mark.parametrize("kind", ["llm", "management"])
def test_lists_take_the_same_queries_for_any_number_of_rows(admin_client, django_assert_num_queries, kind):
    path = {"llm": "/admin/accounts/apikey/", "management": "/admin/accounts/managementkey/"}[kind]
    for added in (1, 2):
        for _ in range(added):
            keys.issue(kind, name="key")
        with django_assert_num_queries(6):
            assert admin_client.get(path).status_code == 200


def test_every_page_of_a_key_opens(admin_client):
    for path, row in (("apikey", keys.issue("llm")[1]), ("managementkey", keys.issue("management")[1])):
        for page in ("", "add/", f"{row.pk}/change/", f"{row.pk}/history/", f"{row.pk}/delete/"):
            response = admin_client.get(f"/admin/accounts/{path}/{page}")
            assert response.status_code == 200
            assert row.key_hash not in response.content.decode()


@pytest.mark.parametrize(("kind", "page"), [("llm", "apikey"), ("management", "managementkey")])
def test_a_rotated_key_is_shown_once(admin_client, kind, page):
    old, row = keys.issue(kind, name="laptop")
    url = f"/admin/accounts/{page}/{row.pk}/rotate/"
    form = admin_client.get(url)
    assert (form.status_code, old[:8] in form.content.decode()) == (200, True)
    response = admin_client.post(url, {"grace": "3600"})
    row.refresh_from_db()
    (plaintext,) = set(re.findall(old[:4] + r"[0-9a-f]{40}", response.content.decode()))
    assert (row.key_hash, row.old_key_hash) == (keys.hash_key(plaintext), keys.hash_key(old))
    assert (response.status_code, "no-store" in response["Cache-Control"]) == (200, True)
    shown = admin_client.get(f"/admin/accounts/{page}/{row.pk}/change/").content.decode()
    assert (f"{old[:8]}…, valid until" in shown, plaintext in shown) == (True, False)


def test_a_revoked_key_is_not_rotated(admin_client):
    _, row = keys.issue("llm", is_active=False)
    response = admin_client.post(f"/admin/accounts/apikey/{row.pk}/rotate/", {"grace": "0"})
    assert (response.status_code, messages_of(response)) == (302, ["The key is revoked. Reactivate it first, or create a new one."])


def test_addresses_are_entered_one_per_line(admin_client):
    add_key(admin_client, allowed_ips=" 10.0.0.0/8\n\n2001:db8::1")
    assert ApiKey.objects.get().allowed_ips == ["10.0.0.0/8", "2001:db8::1"]
    response = add_key(admin_client, allowed_ips="office")
    assert "&#x27;office&#x27; is not an IP address or range" in response.content.decode()


def test_a_preset_fills_what_is_left_empty(admin_client):
    add_key(admin_client, preset="trial", rate_limit="5")
    row = ApiKey.objects.get()
    assert (row.rate_limit, row.token_limit, row.concurrency_limit) == (5, 20_000, 2)
    assert timedelta(days=6, hours=23) < row.expires_at - timezone.now() < timedelta(days=7)


def test_without_a_preset_nothing_is_filled(admin_client):
    add_key(admin_client)
    row = ApiKey.objects.get()
    assert (row.rate_limit, row.token_limit, row.concurrency_limit, row.expires_at, row.allowed_ips) == (None,) * 5


# --- budgets -----------------------------------------------------------------------------------------------------------------


def spend(key, amount, **fields):
    return RequestLog.objects.create(
        id=uuid.uuid4(),
        timestamp=timezone.now(),
        model="m",
        status_code=200,
        latency_ms=1,
        overhead_us=1,
        api_key_id=key.pk,
        cost=Decimal(amount),
        **fields,
    )


def test_a_key_gets_a_budget_and_pools_on_its_page(admin_client):
    pool = Pool.named("agents")
    budget = {
        "budgets-TOTAL_FORMS": "1", "budgets-0-amount_usd": "12.5", "budgets-0-period": "monthly", "budgets-0-mode": "soft",
        "pools": [str(pool.pk)],
    }  # fmt: skip
    add_key(admin_client, **budget)
    row = ApiKey.objects.get()
    assert [(made.scope, made.amount_usd, made.period, made.mode) for made in row.budgets.all()] == [
        ("key", Decimal("12.5"), "monthly", "soft")
    ]
    assert list(row.pools.all()) == [pool]


def test_the_list_of_budgets_shows_what_was_spent_and_what_would_have_been_refused(admin_client):
    _, key = keys.issue("llm", name="laptop")
    Budget.objects.create(scope="key", key=key, amount_usd=Decimal(2), period="daily", mode="soft")
    Budget.objects.create(scope="global", amount_usd=Decimal(10), period="total")
    spend(key, "1.25")
    spend(key, "1.5", over_budget=True)
    rebuild.rebuild()
    page = html.unescape(admin_client.get("/admin/accounts/budget/").content.decode())
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "key laptop, day $2.00 $2.75 $0.00 exceeded" in text
    assert "all requests, for ever $10.00 $2.75 $7.25 has room" in text


def test_a_budget_for_ever_is_forecast_from_when_it_was_made():
    made = datetime(2026, 12, 1, tzinfo=UTC)
    row = Budget(amount_usd=Decimal(10), period="total", created_at=made)
    assert forecast(row, BudgetState(Decimal(5), None, None), made + timedelta(days=2)) == made + timedelta(days=4)
    assert forecast(row, BudgetState(Decimal(0), None, None), made + timedelta(days=2)) is None


def test_a_budget_that_lasts_until_it_resets_is_not_used_up_before():
    start, end = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)
    row = Budget(amount_usd=Decimal(10), period="daily", created_at=start)
    noon = start + timedelta(hours=12)
    assert forecast(row, BudgetState(Decimal(4), start, end), noon) is None
    assert forecast(row, BudgetState(Decimal(8), start, end), noon) == start + timedelta(hours=15)


def test_the_defaults_for_new_keys_are_one_page(admin_client):
    assert admin_client.get("/admin/accounts/keydefaults/")["Location"] == "/admin/accounts/keydefaults/add/"
    form = {
        "rate_limit": "60",
        "token_limit": "",
        "concurrency_limit": "",
        "budget_usd": "5",
        "budget_period": "weekly",
        "budget_mode": "hard",
    }
    admin_client.post("/admin/accounts/keydefaults/add/", form)
    assert admin_client.get("/admin/accounts/keydefaults/")["Location"] == "/admin/accounts/keydefaults/1/change/"
    page = admin_client.get("/admin/accounts/apikey/add/").content.decode()
    assert re.search(r'name="rate_limit" value="60"', page)
    assert re.search(r'name="budgets-0-amount_usd" value="5', page)
