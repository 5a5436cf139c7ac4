"""Budgets, pools, owners and the defaults for new keys in the admin."""

# mypy: disable-error-code="untyped-decorator"
# Unfold has no types, and its decorators are everywhere here.

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from accounts.common.admin import TableAdmin
from accounts.limits import budget_states
from accounts.limits.budget_states import BudgetState
from accounts.models import Budget, KeyDefaults, Owner, Pool

AMOUNT_WIDGET: dict[type[models.Field[Any, Any]], dict[str, Any]] = {
    models.DecimalField: {"widget": UnfoldAdminDecimalFieldWidget({"step": "any"})}
}
NONE = "—"
STATES = {"has room": "success", "used up": "danger", "exceeded": "warning"}


def dollars(amount: Decimal) -> str:
    """An amount with at least two decimal places."""
    places = max(2, -int(amount.normalize().as_tuple().exponent)) if amount else 2
    return f"${amount:,.{min(places, 6)}f}"


def forecast(row: Budget, state: BudgetState, now: datetime) -> datetime | None:
    """When the budget will be used up if spending goes on as in this period; ``None`` if it will not before the end, or has been.

    A budget for ever is judged by the time since it was made.
    """
    begin = state.started_at or row.created_at
    if state.spent <= 0 or state.spent >= row.amount_usd or now <= begin:
        return None
    seconds = (now - begin).total_seconds() * float(row.amount_usd / state.spent)
    if seconds > timedelta(days=3650).total_seconds():
        return None
    moment = begin + timedelta(seconds=seconds)
    return moment if state.resets_at is None or moment < state.resets_at else None


class WithStates:
    """Shows what was spent of budgets: the ledger is read once for all rows of a page."""

    def read_states(self, rows: Sequence[Budget]) -> None:
        """Put the state of each row on the row."""
        for row, state in zip(rows, budget_states.states_of(rows), strict=True):
            vars(row)["state"] = state

    def _state_of(self, row: Budget) -> BudgetState:
        if "state" not in vars(row):
            self.read_states([row])
        state: BudgetState = vars(row)["state"]
        return state

    @display(description="Spent")
    def spent(self, row: Budget) -> str:
        """USD in the current period."""
        return dollars(self._state_of(row).spent) if row.created_at else NONE

    @display(description="Left")
    def left(self, row: Budget) -> str:
        return dollars(max(Decimal(0), row.amount_usd - self._state_of(row).spent)) if row.created_at else NONE

    @display(description="Resets", empty_value="never")
    def resets_at(self, row: Budget) -> Any:
        return self._state_of(row).resets_at if row.created_at else None

    @display(description="Used up on", empty_value=NONE)
    def used_up_on(self, row: Budget) -> Any:
        """If spending goes on as in this period."""
        return forecast(row, self._state_of(row), timezone.now()) if row.created_at else None

    @display(description="Would have been refused")
    def would_refuse(self, row: Budget) -> str:
        """The requests of this period that a soft budget admitted without room for them."""
        return f"{self._state_of(row).over:,}" if row.created_at and row.mode == "soft" else NONE

    @display(description="State", label=STATES)
    def state(self, row: Budget) -> str:
        if self._state_of(row).spent < row.amount_usd:
            return "has room"
        return "used up" if row.mode == "hard" else "exceeded"


class BudgetInline(WithStates, TabularInline):  # type: ignore[misc]  # unfold has no types
    """The budgets of one key, on its page."""

    model = Budget
    fields = ("amount_usd", "period", "mode", "spent", "left", "used_up_on", "would_refuse")
    readonly_fields = ("spent", "left", "used_up_on", "would_refuse")
    extra = 0
    formfield_overrides = AMOUNT_WIDGET

    def get_extra(self, request: HttpRequest, obj: Any = None, **options: Any) -> int:  # noqa: ARG002  (Django's signature)
        """A form for the default budget of a new key."""
        return int(obj is None and KeyDefaults.current().budget_usd is not None)


@admin.register(Budget)
class BudgetAdmin(WithStates, TableAdmin):
    """Budgets with what was spent of them."""

    list_display = ("__str__", "amount", "spent", "left", "state", "used_up_on", "resets_at", "mode", "would_refuse")
    list_filter = ("scope", "period", "mode")
    list_select_related = ("key", "owner", "pool")
    search_fields = ("key__name", "owner__name", "pool__name")
    search_help_text = "The name of a key, an owner or a pool"
    autocomplete_fields = ("key", "owner", "pool")
    conditional_fields = {"key": "scope == 'key'", "owner": "scope == 'owner'", "pool": "scope == 'pool'"}
    formfield_overrides = {**TableAdmin.formfield_overrides, **AMOUNT_WIDGET}
    fields = ("scope", "key", "owner", "pool", "amount_usd", "period", "mode")
    empty_title = "No budgets yet"
    empty_text = "A budget bounds what a key, an owner, a pool or all requests may cost in a day, a week, a month, or for ever."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002
        """What a budget counts does not change, because its counts would not be its own."""
        return () if obj is None else ("scope", "key", "owner", "pool")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read the states of the rows of the page."""
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        self.read_states(page.result_list)
        return page

    @display(description="Amount", ordering="amount_usd")
    def amount(self, row: Budget) -> str:
        return dollars(row.amount_usd)


@admin.register(Pool)
class PoolAdmin(TableAdmin):
    """Groups of keys with common budgets."""

    search_fields = ("name",)
    list_display = ("name", "members")
    empty_title = "No pools yet"
    empty_text = "Keys of a pool share its budgets. Keys are put into a pool on their own pages."

    @display(description="Keys")
    def members(self, row: Pool) -> int:
        return int(row.keys.count())


@admin.register(Owner)
class OwnerAdmin(TableAdmin):
    """Users and teams to whom keys belong."""

    search_fields = ("name",)
    list_display = ("name", "kind")
    list_filter = ("kind",)
    empty_title = "No owners yet"
    empty_text = "An owner is a user or a team. Keys that name the same owner can be reported and limited together."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002
        """A name does not change: the log has it, and budgets add up its costs."""
        return () if obj is None else ("name",)


@admin.register(KeyDefaults)
class KeyDefaultsAdmin(TableAdmin):
    """One row: its page takes the place of the list."""

    fields = ("rate_limit", "token_limit", "concurrency_limit", "budget_usd", "budget_period", "budget_mode")
    formfield_overrides = {**TableAdmin.formfield_overrides, **AMOUNT_WIDGET}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """Go to the row, or to the page that makes it."""
        name = "admin:accounts_keydefaults_change" if KeyDefaults.objects.exists() else "admin:accounts_keydefaults_add"
        return HttpResponseRedirect(reverse(name, args=(1,) if name.endswith("change") else ()))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The row's page, if there is one."""
        if KeyDefaults.objects.exists():
            return self.changelist_view(request)
        response: HttpResponse = super().add_view(request, form_url, extra_context)
        return response
