import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from accounts import cache_revisions
from proxy.translation.quirks import Quirks
from tests.support.settings import with_encryption
from upstreams.catalog import snapshot
from upstreams.catalog.entries import IdleRoute, ModelEntry
from upstreams.catalog.snapshot import Catalogue, load
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.routing.plan import remote_name
from upstreams.secrets import store, vault


def entry(name, *aliases, prefix="", served=True):
    return ModelEntry(id=f"{prefix}/{name}", name=name, aliases=aliases, path_prefix=prefix), served


def resolve(catalogue, name, prefix=""):
    resolved = catalogue.find(name, prefix)
    return resolved and (resolved.model.name, resolved.stars)


class TestNames:
    catalogue = Catalogue(
        [
            entry("gpt-5", "fast", "claude-opus-4"),
            entry("claude-*"),
            entry("claude-*haiku*", "haiku-*"),
            entry("claude-sonnet-4"),
            entry("off", "off-alias", served=False),
            entry("closed-*", served=False),
            entry("of*"),
            entry("gpt-5", prefix="/team"),
        ]
    )

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("gpt-5", ("gpt-5", ())),
            ("fast", ("gpt-5", ())),
            ("claude-sonnet-4", ("claude-sonnet-4", ())),
            ("claude-opus-4", ("gpt-5", ())),
            ("claude-opus-5", ("claude-*", ("opus-5",))),
            ("claude-3-5-haiku-20241022", ("claude-*haiku*", ("3-5-", "-20241022"))),
            ("haiku-4", ("claude-*haiku*", ("4",))),
            ("off", None),
            ("off-alias", None),
            ("offer", ("of*", ("fer",))),
            ("closed-1", None),
            ("unknown", None),
            ("", None),
            ("claude-*", ("claude-*", ("*",))),
        ],
    )
    def test_exact_names_first_then_aliases_then_the_longest_literal_pattern(self, name, expected):
        for _ in range(2):  # the second time from memory
            assert resolve(self.catalogue, name) == expected

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("claude-pxbin/gpt-5", ("gpt-5", (), "gpt-5")),
            ("claude-pxbin/fast[1m]", ("gpt-5", (), "fast")),
            ("claude-sonnet-4[1m]", ("claude-sonnet-4", (), "claude-sonnet-4")),
            ("claude-opus-5[1m]", ("claude-*", ("opus-5",), "claude-opus-5")),
            ("claude-pxbin/offer", ("of*", ("fer",), "offer")),
            ("claude-pxbin/unknown", ("claude-*", ("pxbin/unknown",), "claude-pxbin/unknown")),
            ("claude-pxbin/off", None),
        ],
    )
    def test_a_name_of_a_clients_picker_is_resolved_to_its_model(self, name, expected):
        for _ in range(2):  # the second time from memory
            resolved = self.catalogue.find(name)
            assert (resolved and (resolved.model.name, resolved.stars, resolved.requested)) == expected

    def test_a_prefix_has_names_of_its_own(self):
        resolved = self.catalogue.find("gpt-5", "/team")
        assert resolved is not None
        assert resolved.model.id == "/team/gpt-5"
        assert (self.catalogue.find("fast", "/team"), self.catalogue.find("gpt-5", "/nobody")) == (None, None)
        assert self.catalogue.prefixes() == ["/team"]

    def test_lists_contain_no_patterns_and_only_served_models(self):
        assert [model.name for model in self.catalogue.listed()] == ["claude-sonnet-4", "gpt-5"]
        assert [model.name for model in self.catalogue.listed("/team")] == ["gpt-5"]

    def test_the_cache_of_names_is_bounded(self):
        catalogue = Catalogue([entry("claude-*")])
        for number in range(10_000):
            catalogue.find(f"claude-{number}")
            catalogue.find(f"x{number}")
        catalogue.find("claude-" + "x" * 100_000)
        cached = catalogue._groups[""]._cache
        assert len(cached) <= snapshot.MAX_CACHED_NAMES
        assert max(map(len, cached)) <= snapshot.MAX_CACHED_NAME_LENGTH

    def test_equal_patterns_are_tried_in_the_order_of_their_text(self):
        assert resolve(Catalogue([entry("b*a"), entry("*ba")]), "bba") == ("*ba", ("b",))


def add_upstream(name, **fields):
    return Upstream.objects.create(name=name, base_url="http://127.0.0.1:1/v1", **fields)


def add_model(name, *upstreams, remote_name="", **fields):
    model = Model.objects.create(name=name, **fields)
    for upstream in upstreams:
        Route.objects.create(model=model, upstream=upstream, remote_name=remote_name)
    return model


def add_credential(upstream, secret, **fields):
    credential = UpstreamCredential(upstream=upstream, **fields)
    store.set_secret(credential, secret)
    credential.save()
    return credential


@pytest.mark.django_db
class TestLoading:
    def test_a_snapshot_takes_four_queries_for_any_number_of_rows(self, django_assert_num_queries):
        for number in range(3):
            upstream = add_upstream(f"u{number}")
            add_credential(upstream, "sk")
            add_model(f"m{number}", upstream, aliases=[f"a{number}"])
            with django_assert_num_queries(4):
                assert load().model_count == number + 1

    def test_only_what_is_active_is_served(self):
        on, off = add_upstream("on"), add_upstream("off", is_active=False)
        add_model("served", on)
        add_model("switched off", on, is_active=False)
        add_model("nowhere to go", off)
        add_model("no route")
        half = add_model("half", on, off)
        by_fallback = add_model("by fallback", fallbacks=["served"])
        closed = add_model("closed", on)
        closed.routes.update(is_active=False)
        catalogue = load()
        assert [model.name for model in catalogue.listed()] == ["by fallback", "half", "served"]
        assert [route.upstream.name for route in catalogue.find("half").model.routes] == ["on"]
        assert (half.pk is not None, catalogue.find("by fallback").model.id) == (True, str(by_fallback.pk))
        assert (catalogue.model_count, catalogue.upstream_count) == (3, 1)

    def test_an_upstream_whose_credentials_are_all_switched_off_is_not_served_but_one_without_credentials_is(self):
        off, half, own, free = (
            add_upstream("off"),
            add_upstream("half"),
            add_upstream("own", pass_client_credentials=True),
            add_upstream("free"),
        )
        for upstream in (off, half, own):
            add_credential(upstream, "sk-off", is_active=False)
        add_credential(half, "sk-on")
        add_model("m", off, half, own, free)
        model = load().find("m").model
        assert {route.upstream.name for route in model.routes} == {"half", "own", "free"}
        assert model.idle == (IdleRoute(upstream_name="off", remote_name="", reason="the upstream's keys are switched off"),)

    def test_routes_are_ordered_by_priority_then_upstream_then_weight(self):
        near, far = add_upstream("near", priority=1), add_upstream("far", priority=2)
        model = add_model("m")
        for upstream, priority, weight, remote in [
            (far, 0, 5, "d"),
            (near, 0, 1, "c"),
            (near, 0, 9, "b"),
            (far, -1, 1, "a"),
            (near, 3, 9, "e"),
        ]:
            Route.objects.create(model=model, upstream=upstream, priority=priority, weight=weight, remote_name=remote)
        assert [route.remote_name for route in load().find("m").model.routes] == ["a", "b", "c", "d", "e"]

    def test_credentials_are_ordered_and_disabled_ones_come_last(self):
        upstream = add_upstream("u")
        add_credential(upstream, "sk-later", priority=1)
        add_credential(upstream, "sk-off", priority=-2, is_active=False)
        refused = add_credential(upstream, "sk-refused", priority=-3)
        refused.disabled_reason = "401"
        refused.save()
        add_credential(upstream, "sk-first", priority=0)
        (entry,) = load().upstreams.values()
        assert [(credential.secret, credential.is_disabled) for credential in entry.credentials] == [
            ("sk-first", False),
            ("sk-later", False),
            ("sk-refused", True),
        ]

    def test_a_models_quirks_override_its_upstreams(self):
        upstream = add_upstream("u", quirks={"no_stop": True, "images": False}, capabilities={"images": False, "tools": False})
        model = add_model("m", quirks={"images": True})
        Route.objects.create(model=model, upstream=upstream, capabilities={"tools": True})
        (route,) = load().find("m").model.routes
        assert route.quirks == Quirks(no_stop=True, images=True)
        assert route.upstream.quirks == Quirks(no_stop=True, images=False)
        assert route.capabilities == {"images": False, "tools": True}

    def test_policies_and_timeouts_are_copied(self):
        add_model(
            "m",
            add_upstream("u", connect_timeout_seconds=0.5, retry_base_delay_ms=250, cooldown_seconds=0.0),
            temperature=0.2,
            max_tokens_cap=100,
            system_append="Be brief.",
            display_name="M",
            provider="p",
        )
        model = load().find("m").model
        upstream = model.routes[0].upstream
        assert (upstream.connect_timeout, upstream.retry_base_delay, upstream.cooldown) == (0.5, 0.25, 0.0)
        assert (model.temperature, model.max_tokens_cap, model.system_append) == (0.2, 100, "Be brief.")
        assert (model.display_name, model.provider) == ("M", "p")

    def test_a_credential_that_cannot_be_decrypted_is_left_out(self, caplog):
        upstream = add_upstream("u")
        add_model("m", upstream)
        with with_encryption("another passphrase"):
            credential = add_credential(upstream, "sk-lost")
        (entry,) = load().upstreams.values()
        assert entry.credentials == ()
        key_id = vault.encryption_key_id(vault.derive("another passphrase"))
        reason = f"encrypted with another key (id {key_id})"
        assert caplog.messages == [f"credential {credential.pk} of upstream {upstream.pk} is not used: {reason}"]

    def test_rows_with_invalid_quirks_are_left_out(self, caplog):
        good, bad = add_upstream("good"), add_upstream("bad")
        add_model("good", good)
        add_model("bad", bad)
        add_model("odd", good, quirks={"unknown": 1})
        Upstream.objects.filter(name="bad").update(quirks={"no_stop": "perhaps"})
        assert [model.name for model in load().listed()] == ["good"]
        assert len(caplog.messages) == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "remote", "requested", "expected"),
    [
        ("gpt-5", "", "gpt-5", "gpt-5"),
        ("gpt-5", "openai/gpt-5", "gpt-5", "openai/gpt-5"),
        ("claude-*", "", "claude-opus-5", "claude-opus-5"),
        ("claude-*", "anthropic/claude-*", "claude-opus-5", "anthropic/claude-opus-5"),
        ("claude-*haiku*", "haiku*-of-*", "claude-3-haiku-1", "haiku3--of--1"),
        ("openrouter/*", "*", "openrouter/a/b", "a/b"),
        ("claude-*", "fixed", "claude-opus-5", "fixed"),
        ("gpt-5", "openai/*", "gpt-5", "openai/gpt-5"),
    ],
)
def test_the_remote_name_takes_what_the_pattern_matched(name, remote, requested, expected):
    add_model(name, add_upstream("u"), remote_name=remote)
    resolved = load().find(requested)
    assert remote_name(resolved.model.routes[0], resolved) == expected


@pytest.mark.django_db(transaction=True)
class TestFreshness:
    async def test_a_new_model_is_found_by_the_next_request(self):
        await sync_to_async(lambda: add_model("m", add_upstream("u")))()
        assert snapshot.current().find("m") is None
        assert (await snapshot.find_after_refresh("m")).model.name == "m"

    async def test_a_change_is_in_the_snapshot_when_the_write_returns(self):
        await sync_to_async(lambda: add_model("m", add_upstream("u")))()
        await snapshot.find_after_refresh("m")
        before = snapshot.current()
        await sync_to_async(Upstream.objects.filter(name="u").update)(is_active=False)
        assert (snapshot.current().find("m"), before.find("m") is not None) == (None, True)
        assert await snapshot.find_after_refresh("m") is None

    async def test_deleting_an_upstream_removes_its_routes(self):
        await sync_to_async(lambda: add_model("m", add_upstream("u")))()
        await snapshot.find_after_refresh("m")
        await sync_to_async(lambda: Upstream.objects.get(name="u").delete())()
        assert snapshot.current().find("m") is None

    async def test_the_last_snapshot_is_used_while_the_database_is_unreachable(self, monkeypatch):
        await sync_to_async(lambda: add_model("m", add_upstream("u")))()
        await snapshot.find_after_refresh("m")

        def fail():
            raise DatabaseError("no connection")

        monkeypatch.setattr(cache_revisions, "read_revisions", fail)
        assert await snapshot.find_after_refresh("unknown") is None
        assert snapshot.current().find("m") is not None
