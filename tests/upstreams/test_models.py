from importlib import import_module

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from upstreams.models import Model, Route, Upstream, UpstreamCredential

pytestmark = pytest.mark.django_db


def problems(row):
    try:
        row.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


def upstream(**fields):
    return Upstream(**{"name": "u", "base_url": "https://api.example.test/v1", **fields})


@pytest.mark.parametrize(
    "base_url", ["https://api.example.test", "http://127.0.0.1:11434", "http://[::1]:8000/v1", "echo://openai", "https://x.test/a/b/"]
)
def test_valid_base_urls(base_url):
    assert problems(upstream(base_url=base_url)) == {}


@pytest.mark.parametrize(
    "base_url", ["api.example.test", "ftp://x.test", "https://", "https:///v1", "http://x.test:99999", "http://[::1", "http://a\r\nb"]
)
def test_base_urls_without_a_usable_scheme_or_host(base_url):
    assert problems(upstream(base_url=base_url)) == {
        "base_url": ["Enter a URL that begins with http:// or https://, for example https://api.openai.com/v1."]
    }


@pytest.mark.parametrize("base_url", ["https://key@x.test", "https://x.test/v1?key=1", "https://x.test/#a"])
def test_base_urls_with_credentials_a_query_or_a_fragment(base_url):
    assert problems(upstream(base_url=base_url)) == {
        "base_url": ["The URL must not contain credentials, a fragment, or a query other than api-version=…."]
    }


def test_only_bedrock_needs_no_base_url():
    assert problems(upstream(base_url="")) == {"base_url": ["An upstream needs a base URL."]}
    assert problems(upstream(base_url="", dialect="bedrock")) == {"region": ["Enter a region, for example us-east-1."]}
    assert problems(upstream(base_url="", dialect="bedrock", region="eu-central-1")) == {}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("quirks", {"no_such": True}, "no_such: unknown field."),
        ("quirks", {"tool_choice": "some"}, "tool_choice: 'some' is not an allowed value."),
        ("quirks", [], "Give a JSON object, for example {}."),
        ("extra_headers", {"bad name": "x"}, "'bad name' is not a header with a value of one line of text."),
        ("extra_headers", {"x": "a\r\nb"}, "'x' is not a header with a value of one line of text."),
        ("capabilities", {"video": True}, "Capabilities are images, tools and audio, each true or false."),
        ("capabilities", {"images": "no"}, "Capabilities are images, tools and audio, each true or false."),
        ("extra_headers", {"x": "a\x7f"}, "'x' is not a header with a value of one line of text."),
        ("auth_header", "two words", "Enter the name of an HTTP header."),
        ("auth_scheme", "a\r\nb", "Enter one line of text."),
        ("name", " ", "This field cannot be blank."),
        ("connect_timeout_seconds", 0.0, "Enter seconds from 0.001 to 31536000 (a year)."),
        ("idle_timeout_seconds", float("nan"), "Enter seconds from 0.001 to 31536000 (a year)."),
        ("cooldown_seconds", -1.0, "Enter seconds from 0 to 31536000 (a year)."),
        ("cooldown_seconds", 1e12, "Enter seconds from 0 to 31536000 (a year)."),
        ("cooldown_seconds", float("inf"), "Enter seconds from 0 to 31536000 (a year)."),
        ("max_retries", -1, "Ensure this value is greater than or equal to 0."),
        ("dialect", "smtp", "Value 'smtp' is not a valid choice."),
    ],
)
def test_invalid_values_have_a_message(field, value, message):
    assert problems(upstream(**{field: value})) == {field: [message]}


def test_valid_values_with_fractions_of_seconds():
    row = upstream(
        quirks={"no_stop": True},
        extra_headers={"x-team": "a b"},
        capabilities={"images": False},
        connect_timeout_seconds=0.25,
        cooldown_seconds=0,
    )
    assert problems(row) == {}
    row.save()
    assert problems(upstream()) == {"name": ["An upstream with this name exists already."]}


@pytest.mark.parametrize("prefix", ["", "/team", "/team-a/openai", "/vision", "/versions"])
def test_valid_path_prefixes(prefix):
    assert problems(Model(name="m", path_prefix=prefix)) == {}


@pytest.mark.parametrize(
    "prefix",
    ["/v1", "/v1/team", "/api", "/admin", "/model", "/health", "/healthz", "/status", "/ready", "/metrics", "/static", "/ws", "/Admin"],
)
def test_pxbins_own_paths_are_refused_as_prefixes(prefix):
    assert problems(Model(name="m", path_prefix=prefix)) == {
        "path_prefix": [f"{prefix} is one of pxbin's own paths; choose another prefix."]
    }


@pytest.mark.parametrize("prefix", ["team", "/", "/team/", "//team", "/te am", "/team?x", "/t%65am", "/team\n"])
def test_malformed_prefixes_are_refused(prefix):
    assert problems(Model(name="m", path_prefix=prefix)) == {
        "path_prefix": ["A path prefix begins with / and does not end with /, for example /team-a."]
    }


@pytest.mark.parametrize("prefix", ["/team/../x", "/.", "/a/./b"])
def test_prefixes_with_dot_segments_are_refused(prefix):
    message = "A path prefix may not contain the segments . and .., because clients remove them from URLs."
    assert problems(Model(name="m", path_prefix=prefix)) == {"path_prefix": [message]}


def test_a_name_is_unique_below_its_prefix():
    Model.objects.create(name="m")
    Model.objects.create(name="m", path_prefix="/team")
    assert problems(Model(name="m")) == {"__all__": ["A model with this name exists already."]}
    with pytest.raises(IntegrityError):
        Model.objects.create(name="m")


def test_a_name_or_an_alias_belongs_to_one_model():
    Model.objects.create(name="gpt-5", aliases=["fast", "claude-*"])
    assert problems(Model(name="fast")) == {"name": ["fast is already an alias of gpt-5."]}
    assert problems(Model(name="m", aliases=["gpt-5"])) == {"aliases": ["gpt-5 is already a name of the model gpt-5."]}
    assert problems(Model(name="m", aliases=["claude-*"])) == {"aliases": ["claude-* is already a name of the model gpt-5."]}
    assert problems(Model(name="m", aliases=["m"])) == {"aliases": ["m is given twice."]}
    assert problems(Model(name="m", aliases=["a", "a"])) == {"aliases": ["a is given twice."]}
    assert problems(Model(name="fast", aliases=["gpt-5"], path_prefix="/team")) == {}
    assert problems(Model.objects.get()) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aliases", "a"),
        ("aliases", [1]),
        ("aliases", None),
        ("fallbacks", [" "]),
        ("quirks", {"x": 1}),
        ("system_replacements", {"": "x"}),
        ("system_replacements", {"a": 1}),
        ("body_defaults", []),
        ("body_defaults", {"top_p": [float("nan")]}),
        ("temperature", 3.0),
        ("max_tokens_cap", 0),
        ("timeout_seconds", 0.0),
        ("timeout_seconds", 1e10),
        ("cooldown_seconds", 1e308),
        ("strategy", "best"),
        ("name", ""),
        ("name", " \t"),
    ],
)
def test_invalid_values_of_models_are_refused(field, value):
    assert list(problems(Model(**{"name": "m", field: value}))) == [field]


def test_the_defaults_of_a_model():
    assert (Model().repair_tool_history, Model().inject_progress, Model().allow_anonymous, Model().strategy) == (
        True,
        False,
        False,
        "priority",
    )


def test_deleting_an_upstream_deletes_its_credentials_and_routes_but_no_models():
    row = Upstream.objects.create(name="u", base_url="http://x")
    UpstreamCredential.objects.create(upstream=row)
    model = Model.objects.create(name="m")
    Route.objects.create(model=model, upstream=row)
    row.delete()
    assert (UpstreamCredential.objects.count(), Route.objects.count(), Model.objects.count()) == (0, 0, 1)


def test_the_migration_limits_stored_times():
    upstream(name="long", cooldown_seconds=1e12, idle_timeout_seconds=5.0).save()
    Model.objects.create(name="long", timeout_seconds=float("inf"))
    import_module("upstreams.migrations.0007_bound_times").bound(apps, None)
    assert Upstream.objects.values_list("cooldown_seconds", "idle_timeout_seconds").get() == (31_536_000, 5.0)
    assert Model.objects.values_list("timeout_seconds", "cooldown_seconds").get() == (31_536_000, None)


def test_a_save_writes_only_the_changed_fields():
    row = upstream()
    row.save()
    UpstreamCredential.objects.create(upstream=row, name="old")
    read = UpstreamCredential.objects.get()
    UpstreamCredential.objects.update(disabled_reason="the upstream answered 401")
    read.name = "new"
    read.save()
    assert UpstreamCredential.objects.values_list("name", "disabled_reason").get() == ("new", "the upstream answered 401")
    read.refresh_from_db()
    read.disabled_reason = ""
    read.save()
    assert UpstreamCredential.objects.values_list("name", "disabled_reason").get() == ("new", "")


def test_names_are_stripped():
    rows = [upstream(name=" u "), Model(name=" m ")]
    assert ([problems(row) for row in rows], [row.name for row in rows]) == ([{}, {}], ["u", "m"])


def test_a_second_route_to_the_same_upstream_and_remote_name_is_refused():
    row, model = upstream(), Model(name="m")
    row.save()
    model.save()
    for name in ("", "there"):
        Route.objects.create(model=model, upstream=row, remote_name=name)
    message = "The model already has a route to this upstream with the same remote name."
    assert problems(Route(model=model, upstream=row, priority=5)) == {"__all__": [message]}
    assert problems(Route(model=model, upstream=row, remote_name="elsewhere")) == {}
    assert [problems(route) for route in Route.objects.all()] == [{}, {}]
