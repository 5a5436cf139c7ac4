"""The ready-made lines that the admin shows."""

import tomllib

import pytest
from django.test import RequestFactory

from pxbin_site.templatetags.gateway import client_examples

pytestmark = pytest.mark.django_db


def test_the_lines_for_codex_are_a_configuration_that_leads_here():
    shown = dict(client_examples(RequestFactory().get("/admin/"), "pxb_1")["snippets"])
    assert "export PXBIN_KEY=pxb_1" in shown["Codex"].splitlines()[0]
    assert tomllib.loads(shown["Codex"]) == {
        "model": "echo",
        "model_provider": "pxbin",
        "model_providers": {
            "pxbin": {"name": "pxbin", "base_url": "http://testserver/v1", "env_key": "PXBIN_KEY", "wire_api": "responses"},
        },
    }
