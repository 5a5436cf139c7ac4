"""``/api/v1/alerts``: the channels of alerts, their tests, and what was sent."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts.common.api_envelope import ApiError, data_envelope, require
from accounts.common.api_resource import Resource, json_value, page_envelope, shows
from accounts.common.api_schema import ActionResult, CreatedResponse, Data, Id, Int32, Moment, Page, Paging, RequestBody, responses
from billing.alert_models import KINDS, AlertChannel, AlertDelivery
from billing.alerts import delivery

router = Router(tags=["alerts"])
TransportName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(AlertChannel.Transport.values)})]
KindNames = Annotated[list[str], WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(KINDS)}})]
Percentages = Annotated[list[int], WithJsonSchema({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 1000}})]


class ChannelFields(RequestBody):
    """What can be set on a channel."""

    table = AlertChannel

    name: str | None = None
    transport: TransportName | None = None
    recipients: str | None = Field(None, description="For e-mail: addresses, separated by commas.")
    url: str | None = Field(None, description="For webhooks and Slack: where alerts are posted. Stored encrypted and never shown.")
    kinds: KindNames | None = Field(None, description="What it is for; by default everything.")
    budget_thresholds: Percentages | None = Field(None, description="Percentages of a budget, each told once in a period.")
    error_percent: Int32 | None = Field(None, description="Share of failed requests in 5 minutes, of 20 or more.")
    days_before_expiry: Int32 | None = Field(None, description="Days before the end of a key.")
    is_active: bool | None = None


class NewChannel(ChannelFields):
    """A channel to create."""

    needs = ("name", "transport")


@shows(ChannelFields, AlertChannel)
class ShownChannel(Schema):
    """A channel, without its address if that is a secret."""

    has_url: bool


class Delivery(Schema):
    """One alert to one channel."""

    id: Id
    channel_id: Id
    channel: str
    kind: str
    subject: str
    period: str
    title: str
    text: str
    state: Annotated[str, WithJsonSchema({"type": "string", "enum": list(AlertDelivery.State.values)})]
    tries: int
    response: str = Field(..., description="What the last try brought.")
    created_at: Moment
    sent_at: Moment | None
    next_try_at: Moment


class Channels(Resource[AlertChannel, ChannelFields]):
    """Channels by name."""

    table = AlertChannel
    schema = ShownChannel
    title = "Alert channel"
    order = ("name", "id")

    def before_save(self, row: AlertChannel, body: ChannelFields) -> None:
        """Encrypt the address."""
        require(row.name, "name: must not be empty")
        if body.url:
            try:
                delivery.set_url(row, body.url)
            except ValueError as error:
                raise ApiError("invalid_request", str(error)) from None

    def computed_values(self, row: AlertChannel) -> dict[str, Any]:
        """Whether there is an address."""
        return {"has_url": bool(row.url_encrypted)}


CHANNELS = Channels()


def delivery_item(row: AlertDelivery) -> dict[str, Any]:
    """A delivery as the API shows it."""
    values = {name: getattr(row, name) for name in Delivery.model_fields if name != "channel"}
    shown = {name: json_value(value) for name, value in values.items()}
    return {name: row.channel.name if name == "channel" else shown[name] for name in Delivery.model_fields}


@router.get("", response=responses(Page[ShownChannel]))
def list_channels(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    """Channels by name."""
    return CHANNELS.page(paging)


@router.post("", response=responses(Data[ShownChannel], 201))
def create_channel(request: HttpRequest, body: NewChannel) -> CreatedResponse:
    """Create a channel."""
    require(body.transport, "transport is required")
    return CHANNELS.create(body)


@router.get("/deliveries", response=responses(Page[Delivery]))
def list_deliveries(request: HttpRequest, paging: Query[Paging]) -> dict[str, Any]:
    """What was sent, and what came back, the newest first."""
    return page_envelope(AlertDelivery.objects.select_related("channel"), paging, show=delivery_item)


@router.get("/{channel_id}", response=responses(Data[ShownChannel]))
def get_channel(request: HttpRequest, channel_id: Id) -> dict[str, Any]:
    """One channel."""
    return CHANNELS.get(channel_id)


@router.patch("/{channel_id}", response=responses(Data[ActionResult]))
def update_channel(request: HttpRequest, channel_id: Id, body: ChannelFields) -> dict[str, Any]:
    """Change a channel."""
    return CHANNELS.update(channel_id, body)


@router.delete("/{channel_id}", response=responses(Data[ActionResult]))
def delete_channel(request: HttpRequest, channel_id: Id) -> dict[str, Any]:
    """Delete a channel with the record of what it was sent."""
    return CHANNELS.delete(channel_id)


@router.post("/{channel_id}/test", response=responses(Data[Delivery]))
def test_channel(request: HttpRequest, channel_id: Id) -> dict[str, Any]:
    """Send a test at once; the response says what came back."""
    return data_envelope(delivery_item(delivery.send_test(CHANNELS.find(channel_id))))
