"""The admin's page for configuration files."""

import json

import pytest
import yaml
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.support import memory
from upstreams.models import Model, Upstream, UpstreamCredential

pytestmark = pytest.mark.django_db

CLAUDE_PROXY = {
    "ak": "of-the-client",
    "providers": [{"base_url": "https://api.example.com", "api_key": "sk-secret", "models": [{"id": "glm", "remote_id": "deepseek-chat"}]}],
}
FIELDS = {"format": "auto", "text": ""}


@pytest.fixture(autouse=True)
def _fresh_memory():
    memory.forget()
    yield
    memory.forget()


@pytest.fixture
def browser():
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="x"))
    return client


def test_differences_are_shown_before_anything_is_written(browser):
    page = browser.post("/admin/config/", {**FIELDS, "text": json.dumps(CLAUDE_PROXY), "_compare": "1"}).content.decode()
    assert ("+ upstream api.example.com" in page, "5 to create, 0 to change, 0 to delete" in page) == (True, True)
    assert page.count("sk-secret") == 1  # in the text that was entered
    assert Upstream.objects.count() == 0


def test_an_uploaded_file_is_imported(browser):
    file = SimpleUploadedFile("config.json", json.dumps(CLAUDE_PROXY).encode())
    response = browser.post("/admin/config/", {**FIELDS, "file": file, "_import": "1"}, follow=True)
    assert "Imported: 5 rows created, 0 changed, 0 deleted." in response.content.decode()
    assert (Model.objects.get().name, UpstreamCredential.objects.count()) == ("glm", 1)


def test_errors_name_the_line(browser):
    page = browser.post("/admin/config/", {**FIELDS, "text": "pxbin: 1\nupstreams:\n- base_url: x\n", "_import": "1"}).content.decode()
    assert "text, line 3: upstreams[0]: name is missing" in page
    assert "Choose a file or paste its text." in browser.post("/admin/config/", FIELDS).content.decode()


def test_references_are_not_read_here(browser, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("of the operator")
    monkeypatch.setenv("SECRET_OF_THE_OPERATOR", "of the operator")
    credentials = [{"name": "a", "secret": "env:SECRET_OF_THE_OPERATOR"}, {"name": "b", "secret": f"file:{tmp_path / 'secret'}"}]
    text = json.dumps({"pxbin": 1, "upstreams": [{"name": "u", "base_url": "http://u", "credentials": credentials}]})
    browser.post("/admin/config/", {**FIELDS, "text": text, "_import": "1"})
    assert (Upstream.objects.count(), UpstreamCredential.objects.count()) == (1, 0)


def test_the_export_is_a_file_that_can_be_imported(browser):
    browser.post("/admin/config/", {**FIELDS, "text": json.dumps(CLAUDE_PROXY), "_import": "1"})
    response = browser.get("/admin/config/export/")
    assert response.headers["content-disposition"] == 'attachment; filename="pxbin.yaml"'
    content = yaml.safe_load(response.content)
    assert [upstream["name"] for upstream in content["upstreams"]] == ["api.example.com"]
    assert b"sk-secret" not in response.content


@pytest.mark.parametrize("path", ["/admin/config/", "/admin/config/export/"])
def test_only_superusers_may_import_and_export(path):
    client = Client()
    user = User.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    client.force_login(user)
    assert (client.get(path).status_code, Client().get(path).status_code) == (403, 302)
