"""Admin pages of client keys, management keys, owners, pools and budgets."""

from accounts.admin.budgets import BudgetAdmin, KeyDefaultsAdmin, OwnerAdmin, PoolAdmin
from accounts.admin.keys import ApiKeyAdmin, ManagementKeyAdmin

__all__ = ["ApiKeyAdmin", "BudgetAdmin", "KeyDefaultsAdmin", "ManagementKeyAdmin", "OwnerAdmin", "PoolAdmin"]
