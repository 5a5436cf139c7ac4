"""``/api/v1/budgets``, ``/api/v1/key-defaults``, ``/api/v1/owners``: what keys, owners, pools and all requests may cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts.api.key_limits import LIMIT_NAMES, Amount, ModeName, PeriodName, decimal_text, limit_values
from accounts.common.api_envelope import ApiError, data_envelope, timestamp
from accounts.common.api_resource import Resource, shows
from accounts.common.api_schema import (
    ActionResult,
    Clearable,
    CreatedResponse,
    Data,
    DecimalText,
    Id,
    Int32,
    Moment,
    Page,
    Paging,
    RequestBody,
    responses,
)
from accounts.common.api_validation import save_validated
from accounts.limits import budget_states
from accounts.models import Budget, KeyDefaults, Owner, Pool

router = Router(tags=["budgets"])
defaults_router = Router(tags=["keys"])
owners_router = Router(tags=["keys"])

ScopeName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Budget.Scope.values)})]
KindName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Owner.Kind.values)})]
Name = Annotated[str, Field(max_length=200)]


class BudgetFields(RequestBody):
    """What can be changed on a budget."""

    table = Budget

    amount_usd: Amount | None = Field(None, description="The most that all requests of the period may cost, in USD.")
    period: PeriodName | None = Field(None, description="In UTC; weeks begin on Monday. By default total.")
    mode: ModeName | None = Field(None, description="hard: requests are refused; soft: they are only counted. By default hard.")


class NewBudget(BudgetFields):
    """A budget to create. ``key_id``, ``owner`` or ``pool`` is needed as the scope says."""

    needs: ClassVar[tuple[str, ...]] = ("scope", "amount_usd")

    scope: ScopeName | None = Field(None, description="Whose costs are counted.")
    key_id: Id | None = Field(None, description="The key, for the scope key.")
    owner: Name | None = Field(None, description="The owner's name, for the scope owner; created when it is first named.")
    pool: Name | None = Field(None, description="The pool's name, for the scope pool; created when it is first named.")


@shows(BudgetFields, Budget)
class ShownBudget(Schema):
    """A budget and what was spent of it."""

    scope: ScopeName
    key_id: Id | None
    owner: str | None
    pool: str | None
    spent_usd: DecimalText = Field(description="In the current period, of requests that have ended.")
    remaining_usd: DecimalText = Field(description="0 if more was spent.")
    resets_at: Moment | None = Field(description="The end of the current period; null: never.")


class Budgets(Resource[Budget, BudgetFields]):
    """Budgets, the oldest first."""

    table = Budget
    schema = ShownBudget
    title = "Budget"
    order = ("created_at", "id")

    def rows(self) -> QuerySet[Budget, Budget]:
        """All budgets with what they belong to."""
        return super().rows().select_related("key", "owner", "pool")

    def before_save(self, row: Budget, body: BudgetFields) -> None:
        """Create the owner or the pool when it is first named."""
        if isinstance(body, NewBudget):
            row.scope = body.scope or ""
            if body.owner and body.owner.strip():
                row.owner = Owner.named(body.owner.strip())
            if body.pool and body.pool.strip():
                row.pool = Pool.named(body.pool.strip())

    def column_values(self, body: BudgetFields) -> dict[str, Any]:
        """The columns; the amount as a number."""
        values = super().column_values(body)
        return values | ({"amount_usd": Decimal(values["amount_usd"])} if "amount_usd" in values else {})

    def computed_values(self, row: Budget) -> dict[str, Any]:
        """What it belongs to, and its state."""
        state = budget_states.state_of(row)
        return {
            "owner": row.owner.name if row.owner is not None else None,
            "pool": row.pool.name if row.pool is not None else None,
            "amount_usd": decimal_text(row.amount_usd),
            "spent_usd": decimal_text(state.spent),
            "remaining_usd": decimal_text(max(Decimal(0), row.amount_usd - state.spent)),
            "resets_at": timestamp(state.resets_at),
        }


BUDGETS = Budgets()


@router.get("", response=responses(Page[ShownBudget]))
def list_budgets(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    """All budgets with what was spent of them."""
    return BUDGETS.page(paging)


@router.post("", response=responses(Data[ShownBudget], 201))
def create_budget(request: HttpRequest, body: NewBudget) -> CreatedResponse:
    """Create a budget. It counts what was spent in the current period before, too."""
    for name in body.needs:
        if not getattr(body, name):
            raise ApiError("invalid_request", f"{name}: the field is required")
    return BUDGETS.create(body)


@router.get("/{budget_id}", response=responses(Data[ShownBudget]))
def get_budget(request: HttpRequest, budget_id: Id) -> dict[str, Any]:
    """One budget."""
    return BUDGETS.get(budget_id)


@router.patch("/{budget_id}", response=responses(Data[ActionResult]))
def update_budget(request: HttpRequest, budget_id: Id, body: BudgetFields) -> dict[str, Any]:
    """Change the amount, the period or the mode."""
    return BUDGETS.update(budget_id, body)


@router.delete("/{budget_id}", response=responses(Data[ActionResult]))
def delete_budget(request: HttpRequest, budget_id: Id) -> dict[str, Any]:
    """Delete a budget."""
    return BUDGETS.delete(budget_id)


class DefaultFields(RequestBody):
    """The limits and the budget of new keys that name none themselves; null: none."""

    table = KeyDefaults

    rate_limit: Clearable[Int32] = Field(None, description="Requests per minute.")
    tokens_per_minute: Clearable[Int32] = Field(None, description="Input and output together.")
    max_concurrency: Clearable[Int32] = Field(None, description="Concurrent requests.")
    token_limit: Clearable[Int32] = Field(None, description="The older name of tokens_per_minute.")
    concurrency_limit: Clearable[Int32] = Field(None, description="The older name of max_concurrency.")
    budget_usd: Clearable[Amount] = Field(None, description="USD.")
    budget_period: PeriodName | None = Field(None, description="In UTC. By default total.")
    budget_mode: ModeName | None = Field(None, description="By default hard.")


class ShownDefaults(Schema):
    """The limits and the budget of new keys."""

    rate_limit: int | None
    tokens_per_minute: int | None
    max_concurrency: int | None
    token_limit: int | None
    concurrency_limit: int | None
    budget_usd: DecimalText | None
    budget_period: PeriodName
    budget_mode: ModeName


@defaults_router.get("", response=responses(Data[ShownDefaults]))
def get_defaults(request: HttpRequest) -> dict[str, Any]:
    """The limits and the budget that new keys get."""
    return data_envelope(_shown_defaults(KeyDefaults.current()))


@defaults_router.patch("", response=responses(Data[ShownDefaults]))
def update_defaults(request: HttpRequest, body: DefaultFields) -> dict[str, Any]:
    """Change the fields that the body has. Keys that exist keep their limits."""
    return _write_defaults(body)


@defaults_router.put("", response=responses(Data[ShownDefaults]))
def replace_defaults(request: HttpRequest, body: DefaultFields) -> dict[str, Any]:
    """The same as PATCH."""
    return _write_defaults(body)


def _write_defaults(body: DefaultFields) -> dict[str, Any]:
    row = KeyDefaults.current()
    values = {name: getattr(body, name) for name in body.model_fields_set if name not in LIMIT_NAMES} | limit_values(body)
    for name, value in values.items():
        if value is not None or name not in ("budget_period", "budget_mode"):
            setattr(row, name, Decimal(value) if name == "budget_usd" and value is not None else value)
    save_validated(row)
    return data_envelope(_shown_defaults(row))


def _shown_defaults(row: KeyDefaults) -> dict[str, Any]:
    values = {name: getattr(row, LIMIT_NAMES.get(name, name)) for name in ShownDefaults.model_fields}
    return values | {"budget_usd": None if row.budget_usd is None else decimal_text(row.budget_usd)}


class OwnerFields(RequestBody):
    """What can be changed on an owner."""

    kind: KindName | None = Field(None, description="user or team.")


class NewOwner(OwnerFields):
    """An owner to create."""

    needs: ClassVar[tuple[str, ...]] = ("name",)

    name: Name | None = None


class ShownOwner(Schema):
    """A user or a team to whom keys belong."""

    id: Id
    name: str
    kind: KindName
    created_at: Moment
    updated_at: Moment


class Owners(Resource[Owner, OwnerFields]):
    """Owners by name."""

    table = Owner
    schema = ShownOwner
    title = "Owner"
    order = ("name",)


OWNERS = Owners()


@owners_router.get("", response=responses(Page[ShownOwner]))
def list_owners(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    """All owners."""
    return OWNERS.page(paging)


@owners_router.post("", response=responses(Data[ShownOwner], 201))
def create_owner(request: HttpRequest, body: NewOwner) -> CreatedResponse:
    """Create an owner before a key names it."""
    return OWNERS.create(body)


@owners_router.patch("/{owner_id}", response=responses(Data[ActionResult]))
def update_owner(request: HttpRequest, owner_id: Id, body: OwnerFields) -> dict[str, Any]:
    """Say whether an owner is a user or a team. Its name does not change: the log has it."""
    return OWNERS.update(owner_id, body)
