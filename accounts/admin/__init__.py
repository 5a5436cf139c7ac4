"""Admin pages of client keys and management keys."""

from accounts.admin.keys import ApiKeyAdmin, ManagementKeyAdmin

__all__ = ["ApiKeyAdmin", "ManagementKeyAdmin"]
