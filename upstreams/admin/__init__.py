"""Upstreams, credentials, models and routes in the admin."""

from upstreams.admin.credential import CredentialAdmin
from upstreams.admin.model import ModelPage
from upstreams.admin.route import RouteAdmin
from upstreams.admin.upstream import UpstreamAdmin

__all__ = ["CredentialAdmin", "ModelPage", "RouteAdmin", "UpstreamAdmin"]
