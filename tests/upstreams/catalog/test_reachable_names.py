"""The names that a list of models shows."""

import pytest

from tests.upstreams.catalog.test_snapshot import Catalogue
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.catalog.reachable_names import reachable_names

ACME, OTHER = (UpstreamEntry(id=name, name=name, base_url="http://x", dialect="openai_chat") for name in ("acme", "other"))


def model(name, *remote_names, upstream=ACME, prefix="", served=True):
    routes = tuple(RouteEntry(id=f"{name} {remote}", upstream=upstream, remote_name=remote) for remote in remote_names or ("",))
    return ModelEntry(id=f"{prefix}/{name}", name=name, path_prefix=prefix, routes=routes), served


def names(*models, prefix=""):
    catalogue = Catalogue(models)
    listed = reachable_names(catalogue, prefix)
    assert reachable_names(catalogue, prefix) is listed
    assert all(catalogue.find(resolved.requested, prefix) == resolved for resolved in listed)
    return [(resolved.requested, resolved.model.name) for resolved in listed]


KNOWN = (model("gpt-5"), model("mini", "gpt-5-mini"))


@pytest.mark.parametrize(
    ("pattern", "reached"),
    [
        (model("acme/*", "*"), ["acme/gpt-5", "acme/gpt-5-mini"]),
        (model("gpt-*"), ["gpt-5-mini"]),  # the other one is the name of a model
        (model("acme/*", "gpt-*"), ["acme/5", "acme/5-mini"]),
        (model("*-*", "*"), []),  # the remote name does not say what the second star is
        (model("any/*", "gpt-5"), []),  # every name reaches it
        (model("claude-*"), []),
        (model("other/*", "*", upstream=OTHER), []),
        (model("acme/*", "*", prefix="/team"), []),
        (model("acme/*", "*", served=False), []),
    ],
)
def test_a_pattern_shows_the_names_that_it_reaches(pattern, reached):
    shown = sorted([*((name, pattern[0].name) for name in reached), ("gpt-5", "gpt-5"), ("mini", "mini")])
    assert names(*KNOWN, pattern) == shown


def test_below_a_prefix_patterns_reach_the_models_that_are_known_elsewhere():
    assert names(*KNOWN, model("acme/*", "*", prefix="/team"), prefix="/team") == [
        ("acme/gpt-5", "acme/*"),
        ("acme/gpt-5-mini", "acme/*"),
    ]


def test_a_name_belongs_to_the_pattern_that_a_request_would_take():
    assert names(model("gpt-5", "five"), model("f*"), model("fi*")) == [("five", "fi*"), ("gpt-5", "gpt-5")]
