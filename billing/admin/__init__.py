"""Admin pages of prices, the request log and stored payloads."""

from billing.admin.log import RequestLogAdmin
from billing.admin.payload import RedactionRuleAdmin, RequestPayloadAdmin
from billing.admin.prices import PriceAdmin

__all__ = ["PriceAdmin", "RedactionRuleAdmin", "RequestLogAdmin", "RequestPayloadAdmin"]
