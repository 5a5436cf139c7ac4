"""Admin pages of prices, the request log and stored payloads."""

from billing.admin.alerts import AlertChannelAdmin, AlertDeliveryAdmin
from billing.admin.log import RequestLogAdmin
from billing.admin.payload import RedactionRuleAdmin, RequestPayloadAdmin
from billing.admin.prices import PriceAdmin

__all__ = ["AlertChannelAdmin", "AlertDeliveryAdmin", "PriceAdmin", "RedactionRuleAdmin", "RequestLogAdmin", "RequestPayloadAdmin"]
