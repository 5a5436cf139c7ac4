import pytest

from upstreams.catalog import config_warnings
from upstreams.models import Model

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _models():
    Model.objects.create(name="gpt-5", aliases=["fast"])
    Model.objects.create(name="claude-*-haiku")
    Model.objects.create(name="only-here", path_prefix="/team")


@pytest.mark.parametrize(
    ("fallbacks", "prefix", "expected"),
    [
        (["gpt-5", "fast", "claude-4-haiku"], "", []),
        (["only-here", "gpt-5"], "/team", []),
        (["only-here"], "", ["coder: there is no model only-here yet."]),
        (["gpt-4x", "gpt-5", "o9"], "", ["coder: there is no model gpt-4x or o9 yet."]),
        (["coder"], "", ["coder falls back to itself, which has no effect."]),
    ],
)
def test_fallbacks_without_effect(fallbacks, prefix, expected):
    row = Model.objects.create(name="coder", path_prefix=prefix, fallbacks=fallbacks)
    assert config_warnings.model_warnings(row) == expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, []),
        ([], []),
        (["gpt-*", "claude-*", "only-here", "*"], []),
        (["gpt-6", "o*"], ["laptop: there is no model gpt-6 yet."]),
    ],
)
def test_models_of_a_client_key_that_do_not_exist(allowed, expected):
    assert config_warnings.key_warnings("laptop", allowed) == expected
