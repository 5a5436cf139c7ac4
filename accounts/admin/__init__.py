"""Keys in the admin. `shared` holds what the pages of the other apps build on."""

from accounts.admin.keys import ApiKeyAdmin, ManagementKeyAdmin

__all__ = ["ApiKeyAdmin", "ManagementKeyAdmin"]
