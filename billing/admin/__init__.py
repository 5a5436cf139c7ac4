"""Admin pages of prices, the request log and stored payloads."""

from billing.admin.log import RequestLogAdmin
from billing.admin.payload import RequestPayloadAdmin
from billing.admin.prices import PriceAdmin

__all__ = ["PriceAdmin", "RequestLogAdmin", "RequestPayloadAdmin"]
