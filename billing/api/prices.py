"""``/api/v1/prices``: what upstreams charge. A price that is created here is manual and wins over price data."""

from __future__ import annotations

import re
from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from accounts.common.api_envelope import ApiError, data_envelope, require
from accounts.common.api_resource import Resource, shows
from accounts.common.api_schema import (
    ActionResult,
    Clearable,
    CreatedResponse,
    Data,
    Id,
    IdOrEmpty,
    Moment,
    Page,
    Paging,
    RequestBody,
    decimal_schema,
    responses,
)
from billing.models import Price
from billing.pricing.price_book import ALL_MODELS

router = Router(tags=["prices"])
RATE = re.compile(r"\d{1,7}(\.\d{1,12})?")


def _rate(text: str) -> str:
    if not RATE.fullmatch(text):
        raise PydanticCustomError("rate", 'must be a decimal number of at least 0, as a string such as "0.25"')
    return text


Rate = Annotated[str, AfterValidator(_rate), decimal_schema(RATE)]
SourceName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Price.Source.values)})]


class PriceFields(RequestBody):
    """What can be set on a price. Rates are USD per million tokens, of `web_search` per thousand searches; `"0"` is free."""

    upstream_id: Id | None = Field(None, description="Only for requests that this upstream answers; null: any upstream.")
    model_id: Id | None = Field(None, description="One of the gateway's models, instead of a remote name.")
    input: Clearable[Rate] = None
    output: Clearable[Rate] = None
    cache_read: Clearable[Rate] = Field(None, description="null: the input rate.")
    cache_write_5m: Clearable[Rate] = Field(None, description="null: the input rate.")
    cache_write_1h: Clearable[Rate] = Field(None, description="null: the rate for 5 minutes.")
    input_audio: Clearable[Rate] = Field(None, description="null: unknown.")
    output_audio: Clearable[Rate] = Field(None, description="null: unknown.")
    input_image: Clearable[Rate] = Field(None, description="null: the input rate.")
    output_image: Clearable[Rate] = Field(None, description="null: the output rate.")
    web_search: Clearable[Rate] = Field(None, description="USD per thousand searches; null: unknown.")
    tiers: Clearable[dict[str, Any]] = Field(
        None,
        description='`{"prompt": [{"above": 200000, "input": "6"}], "service": {"flex": {"input": "1"}}, "geo": {"us": "1.1"}}`: '
        "other rates for long prompts and service tiers, and factors by inference geography.",
    )
    valid_from: Moment | None = Field(None, description="Default: now. A time in the past counts for `manage.py rerate`.")


class NewPrice(PriceFields):
    """A price to create, of a remote name or of a model. It ends the manual price that the same name or model has had."""

    alternatives = (("remote_name",), ("model_id",))

    remote_name: str | None = Field(None, description="The upstream's name of the model, exactly; `*`: all models of the upstream.")


@shows(PriceFields, Price)
class ShownPrice(Schema):
    """A price. A rate that is null is unknown, or another rate stands in for it."""

    remote_name: str = Field(description="Empty if the price is of a model.")
    source: SourceName
    version: str = Field(description="The version of the price data.")
    valid_until: Moment | None = Field(description="The first moment that has another price.")


class PriceFilters(Paging):
    """Which prices."""

    upstream_id: IdOrEmpty | None = None
    model_id: IdOrEmpty | None = None


class Prices(Resource[Price, NewPrice]):
    """Prices that are valid now or will be."""

    table = Price
    schema = ShownPrice
    title = "Price"
    order = ("name", "model__name", "upstream__name", "-valid_from", "id")

    def rows(self) -> QuerySet[Price, Price]:
        """Those in force or announced; replaced ones are only in the database."""
        return super().rows().filter(Q(valid_until__isnull=True) | Q(valid_until__gt=timezone.now()), is_active=True)

    def find(self, row_id: str) -> Price:
        """The price of an id, unless it was withdrawn or replaced. Raises :class:`ApiError`."""
        row = super().find(row_id)
        if not row.is_active:
            raise ApiError("not_found", "Price not found")
        return row

    def before_save(self, row: Price, body: NewPrice) -> None:
        """Check what the price is of."""
        row.name = "" if row.model_id else (body.remote_name or "").strip()
        require(row.model_id or row.name, "remote_name is required")
        require(row.name != ALL_MODELS or row.upstream_id, "upstream_id is required for the remote_name *")

    def after_save(self, row: Price, body: NewPrice) -> None:  # noqa: ARG002
        """End the manual prices for the same from the beginning of this one."""
        of_the_same = {"model_id": row.model_id, "name": row.name, "upstream_id": row.upstream_id, "source": Price.Source.MANUAL}
        same = Price.objects.filter(**of_the_same, valid_from__lt=row.valid_from, is_active=True)
        same.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=row.valid_from)).update(valid_until=row.valid_from)

    def computed_values(self, row: Price) -> dict[str, Any]:
        """The remote name."""
        return {"remote_name": row.name}

    def delete(self, row_id: str) -> dict[str, Any]:
        """Withdraw a price: its row stays, because log rows refer to it, and counts for no time."""
        Price.objects.filter(pk=self.find(row_id).pk).update(is_active=False, valid_until=None)
        return data_envelope({"status": "deleted"})


prices = Prices()


@router.get("", response=responses(Page[ShownPrice]))
def list_prices(request: HttpRequest, filters: Query[PriceFilters]) -> dict[str, Any]:
    """Prices that are valid now or later, manual ones and those from price data; of one upstream or model where these are given."""
    return prices.page(filters)


@router.get("/{price_id}", response=responses(Data[ShownPrice]))
def get_price(request: HttpRequest, price_id: Id) -> dict[str, Any]:
    """One price."""
    return prices.get(price_id)


@router.post("", response=responses(Data[ShownPrice], 201))
def create_price(request: HttpRequest, body: NewPrice) -> CreatedResponse:
    """Enter a manual price. It wins over prices from price data, and no synchronisation changes it."""
    return prices.create(body)


@router.delete("/{price_id}", response=responses(Data[ActionResult]))
def delete_price(request: HttpRequest, price_id: Id) -> dict[str, Any]:
    """Withdraw a price. Rows of the log keep their costs until they are rated again (`manage.py rerate`)."""
    return prices.delete(price_id)
