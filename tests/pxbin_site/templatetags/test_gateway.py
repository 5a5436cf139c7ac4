"""The examples for clients that the admin shows."""

import tomllib

import pytest
from django.test import RequestFactory

from pxbin_site.templatetags.gateway import client_examples, example_model
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db


def test_the_codex_example_is_a_configuration_for_this_gateway():
    examples = dict(client_examples(RequestFactory().get("/admin/"), "pxb_1")["snippets"])
    assert "export PXBIN_KEY=pxb_1" in examples["Codex"].splitlines()[0]
    assert tomllib.loads(examples["Codex"]) == {
        "model": "echo",
        "model_provider": "pxbin",
        "model_providers": {
            "pxbin": {"name": "pxbin", "base_url": "http://testserver/v1", "env_key": "PXBIN_KEY", "wire_api": "responses"},
        },
    }


def add_route(name, *, base_url="http://x", upstream="u"):
    row, _ = Upstream.objects.get_or_create(name=upstream, defaults={"base_url": base_url})
    Route.objects.create(model=Model.objects.create(name=name), upstream=row)


def test_examples_use_a_real_model_that_the_key_may_use():
    assert example_model(None) == "echo"
    add_route("echo", base_url="echo://openai", upstream="echo")
    add_route("claude-*")
    add_route("gpt-5")
    assert [example_model(allowed) for allowed in (None, ["echo*"], ["gpt-*"], [])] == ["gpt-5", "echo", "gpt-5", "echo"]
