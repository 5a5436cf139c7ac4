"""The limits and the first budget in bodies of keys: two names of a limit, the defaults for new keys."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from accounts.common.api_envelope import ApiError, require
from accounts.common.api_schema import DecimalText
from accounts.common.api_validation import save_validated
from accounts.models import ApiKey, Budget, BudgetMode, KeyDefaults, Period

AMOUNT = re.compile(r"\d{1,7}(\.\d{1,12})?")
LIMIT_NAMES = {"tokens_per_minute": "token_limit", "max_concurrency": "concurrency_limit"}
"""The older name of a limit, which is that of its column, by its name."""
BUDGET_FIELDS = {"budget_usd": "amount_usd", "budget_period": "period", "budget_mode": "mode"}
"""The columns of a budget by the fields of a key that set them on its first budget."""


def _text(value: Any) -> Any:
    """A number as text, so that amounts may be written as numbers."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _amount(text: str) -> str:
    if not AMOUNT.fullmatch(text):
        raise PydanticCustomError("amount", 'must be an amount in USD of at least 0, as a string such as "0.25"')
    return text


Amount = Annotated[DecimalText, BeforeValidator(_text), AfterValidator(_amount)]
"""USD, exact."""
PeriodName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Period.values)})]
ModeName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(BudgetMode.values)})]


def decimal_text(amount: Decimal) -> str:
    """An amount without trailing zeros and without an exponent."""
    return f"{amount.normalize():f}"


def limit_values(body: Schema) -> dict[str, int | None]:
    """The columns of the limits that a body sets by either name. Raises :class:`ApiError` if the two names have different values."""
    values: dict[str, int | None] = {}
    for name, older in LIMIT_NAMES.items():
        stated = [getattr(body, field) for field in (name, older) if field in body.model_fields_set]
        require(len(set(stated)) < 2, f"{name}: {older} is an older name of it and has another value; send one of them")
        if stated:
            values[older] = stated[0]
    return values


def with_defaults(body: Any) -> Any:
    """The body of a new key, in which the defaults for new keys stand for what it leaves out; null stays unlimited."""
    defaults, stated = KeyDefaults.current(), body.model_fields_set
    added: dict[str, Any] = {}
    if "rate_limit" not in stated:
        added["rate_limit"] = defaults.rate_limit
    for name, older in LIMIT_NAMES.items():
        if name not in stated and older not in stated:
            added[older] = getattr(defaults, older)
    if "budget_usd" not in stated and defaults.budget_usd is not None:
        own = {"budget_period": defaults.budget_period, "budget_mode": defaults.budget_mode}
        added |= {"budget_usd": decimal_text(defaults.budget_usd), **{name: value for name, value in own.items() if name not in stated}}
    return body.model_copy(update={name: value for name, value in added.items() if value is not None})


def write_first_budget(row: ApiKey, body: Any) -> None:
    """Create, change or delete the first budget of a key as its body says. Raises :class:`ApiError`."""
    stated = {name: getattr(body, name) for name in BUDGET_FIELDS if name in body.model_fields_set}
    if not stated:
        return
    first = row.budgets.first()
    if "budget_usd" in stated and stated["budget_usd"] is None:
        if first is not None:
            first.delete()
        return
    changes = {BUDGET_FIELDS[name]: value for name, value in stated.items() if value is not None}
    if not changes:
        return
    if first is None:
        if "amount_usd" not in changes:
            raise ApiError("invalid_request", f"{next(iter(stated))}: the key has no budget; send budget_usd, too")
        first = Budget(scope=Budget.Scope.KEY, key=row)
    if "amount_usd" in changes:
        changes["amount_usd"] = Decimal(changes["amount_usd"])
    for column, value in changes.items():
        setattr(first, column, value)
    save_validated(first)
