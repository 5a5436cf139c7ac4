"""Credentials on the pages of upstreams and on their own."""

import pytest

from tests.upstreams.admin.pages import SECRET, UPSTREAM, add, errors, messages_of, rows
from upstreams.models import Upstream
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


def test_a_secret_can_be_replaced_or_kept_and_is_never_shown(admin_client):
    upstream = add()
    credential = upstream.credentials.get()
    path = f"/admin/upstreams/upstream/{upstream.pk}/change/"
    page = admin_client.get(path).content.decode()
    assert (SECRET in page, credential.secret_encrypted in page, "A key is stored" in page) == (False, False, True)
    form = {"id": str(credential.pk), "upstream": str(upstream.pk), "name": "renamed", "secret": "", "priority": "0", "is_active": "on"}
    for typed, expected in (("", SECRET), ("sk-new", "sk-new")):
        data = {**UPSTREAM, **rows("credentials", {**form, "secret": typed}, initial=1)}
        response = admin_client.post(path, data)
        assert response.status_code == 302, errors(response)
        credential.refresh_from_db()
        assert (credential.name, store.decrypt(credential.secret_encrypted)) == ("renamed", expected)


def test_a_new_credential_needs_a_secret(admin_client):
    response = admin_client.post("/admin/upstreams/upstream/add/", {**UPSTREAM, **rows("credentials", {"name": "main", "priority": "0"})})
    assert errors(response) == {"secret": ["Enter the key."]}
    assert not Upstream.objects.exists()


def test_a_disabled_credential_is_explained_and_enabled_on_its_upstreams_page(admin_client):
    row = add()
    key = row.credentials.get()
    key.disabled_reason = "401: this key was revoked"
    key.save()
    path = f"/admin/upstreams/upstream/{row.pk}/change/"
    assert "401: this key was revoked" in admin_client.get(path).content.decode()
    assert "401: this key was revoked" in admin_client.get("/admin/upstreams/upstream/").content.decode()
    assert messages_of(admin_client.post(path, {"_command": f"enable {key.pk}"})) == ["The credential is enabled."]
    key.refresh_from_db()
    assert key.disabled_reason == ""


def test_a_credential_of_another_upstream_is_not_enabled(admin_client):
    row, other_upstream = add(), add("other")
    key = other_upstream.credentials.get()
    key.disabled_reason = "refused"
    key.save()
    assert messages_of(admin_client.post(f"/admin/upstreams/upstream/{row.pk}/change/", {"_command": f"enable {key.pk}"})) == []
    key.refresh_from_db()
    assert key.disabled_reason == "refused"


def test_activating_a_credential_enables_it(admin_client):
    key = add().credentials.get()
    key.disabled_reason = "no such key"
    key.save()
    path = "/admin/upstreams/upstreamcredential/"
    assert "disabled" in admin_client.get(path).content.decode()
    admin_client.post(path, {"action": "activate", "_selected_action": [str(key.pk)]})
    key.refresh_from_db()
    assert (key.disabled_reason, key.is_active) == ("", True)
