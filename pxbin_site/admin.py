"""Users and groups in the admin's theme, and connections between the admin pages of several apps."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.admin import ApiKeyAdmin
from accounts.common.admin import TableAdmin
from upstreams.catalog import config_warnings

ApiKeyAdmin.config_warnings = staticmethod(config_warnings.key_warnings)

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, TableAdmin):  # type: ignore[type-arg,misc]  # unfold has no types
    """People who may log in here."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, TableAdmin):  # type: ignore[misc]  # unfold has no types
    """Sets of permissions that several people share."""

    empty_title = "No groups yet"
    empty_text = "A group gives several users the same permissions. Superusers need no group."
