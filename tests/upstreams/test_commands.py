import json
import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.support.fake_upstream import json_reply
from tests.support.settings import with_encryption
from upstreams.admin import status
from upstreams.models import Model, Upstream, UpstreamCredential
from upstreams.presets import PRESETS
from upstreams.routing import live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

FIRST, SECOND = "first passphrase", "second passphrase"


def rotated(*options):
    out = StringIO()
    call_command("rotate_encryption_key", *options, stdout=out)
    return out.getvalue()


def stored(name, secret, upstream):
    credential = UpstreamCredential(upstream=upstream, name=name)
    store.set_secret(credential, secret)
    credential.save()
    return credential


def test_rotation_encrypts_and_counts():
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        credential = stored("", "sk-1", upstream)
    with with_encryption(SECOND), pytest.raises(CommandError, match="The stored credentials cannot be decrypted"):
        rotated()
    with with_encryption(SECOND, FIRST):
        assert rotated() == f"1 credentials encrypted again; all use the encryption key {store.ring().current_id}.\n"
        assert json.loads(rotated("--json")) == {"changed": 0, "encryption_key": store.ring().current_id}
    with with_encryption(SECOND):
        credential.refresh_from_db()
        assert store.decrypt(credential.secret_encrypted) == "sk-1"


def test_credentials_that_cannot_be_decrypted_are_removed_after_confirmation(monkeypatch):
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", upstream)
    questions = []
    with with_encryption(SECOND):
        readable = stored("kept", "sk-2", upstream)
        for answer in ("", "n"):
            monkeypatch.setattr("builtins.input", lambda question, answer=answer: questions.append(question) or answer)
            with pytest.raises(CommandError, match="Nothing was changed"):
                rotated("--forget")
        assert store.undecryptable().keys() == {lost.secret_encrypted}
        monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "y")
        lines = rotated("--forget").splitlines()
        assert lines[0].startswith("credential lost of upstream u: encrypted with another key")
        assert lines[1:] == ["1 secrets removed; their credentials are disabled until a new secret is entered."]
        assert questions == ["Remove these credentials? They cannot be restored. [y/N] "] * 3
        store.check_credentials()
        lost.refresh_from_db()
        assert (lost.secret_encrypted, lost.disabled_reason) == ("", store.SECRET_REMOVED)
        assert status.credential_status(lost, live_state.current()).detail == store.SECRET_REMOVED
        readable.refresh_from_db()
        assert (store.decrypt(readable.secret_encrypted), readable.disabled_reason) == ("sk-2", "")


def test_without_a_terminal_nothing_is_removed_without_yes(monkeypatch):
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", Upstream.objects.create(name="u", base_url="http://x"))
    monkeypatch.setattr("sys.stdin", StringIO())
    with with_encryption(SECOND):
        with pytest.raises(CommandError, match="Nothing was changed"):
            rotated("--forget")
        assert json.loads(rotated("--forget", "--yes", "--json")) == {"removed": 1}
        lost.refresh_from_db()
        assert lost.secret_encrypted == ""


@pytest.fixture
def provider(upstream):
    return Upstream.objects.create(name="provider", base_url=upstream.url)


def run(*arguments):
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_named_upstreams_are_listed_and_imported_only_on_request(upstream, provider):
    upstream.otherwise(json_reply({"data": [{"id": "a", "owned_by": "acme"}, {"id": "b"}]}))
    assert run("discover_models", "provider") == ("provider: 2 models\n  a\n  b\n", "")
    listed = [{"id": "a", "owned_by": "acme"}, {"id": "b", "owned_by": ""}]
    assert json.loads(run("discover_models", str(provider.id), "--json")[0]) == [
        {"upstream": "provider", "id": str(provider.id), "error": None, "models": listed}
    ]
    assert not Model.objects.exists()
    assert run("discover_models", "provider", "--import") == ("provider: 2 new, 0 vanished, 0 returned\n", "")
    assert sorted(Model.objects.values_list("name", flat=True)) == ["a", "b"]


def test_one_dead_upstream_of_several_does_not_fail_the_others(upstream, second_upstream, provider):
    dead = Upstream.objects.create(name="a dead one", base_url=second_upstream.url)
    second_upstream.stop()
    upstream.otherwise(json_reply({"data": [{"id": "a"}]}))
    out, err = run("discover_models")
    assert out == "provider: 1 new, 0 vanished, 0 returned\n"
    assert err == f"a dead one: Failed to reach upstream: 127.0.0.1:{second_upstream.port} refused the connection\n"
    results = json.loads(run("discover_models", "--json")[0])
    assert [(result["upstream"], result["error"] is None) for result in results] == [("a dead one", False), ("provider", True)]
    with pytest.raises(CommandError, match="No models from a dead one"):
        run("discover_models", str(dead.id))


@pytest.mark.parametrize("command", [("discover_models",), ("test_upstream",), ("import_models", "model")])
def test_an_unknown_upstream_is_named_with_those_that_there_are(command, provider):
    name, *further = command
    with pytest.raises(CommandError, match="There is no upstream 'nobody'; there are provider"):
        run(name, "nobody", *further)
    assert not Model.objects.exists()


def test_models_are_imported_by_name(provider):
    Model.objects.create(name="taken")
    out, _ = run("import_models", "provider", "a", "taken", "a")
    assert out == "provider: 1 created, 2 skipped\n  created: a\n  skipped, because the name is taken: taken, a\n"
    assert json.loads(run("import_models", str(provider.id), "b", "a", "--json")[0]) == {
        "upstream": "provider",
        "created": ["b"],
        "skipped": ["a"],
    }
    with pytest.raises(CommandError, match=re.escape("Not the name of one model: 'gpt-*', ' '")):
        run("import_models", "provider", "c", "gpt-*", " ")
    assert sorted(Model.objects.values_list("name", flat=True)) == ["a", "b", "taken"]


def test_an_upstream_that_works_is_reported(upstream, provider):
    upstream.reply(json_reply({"data": [{"id": "gpt-a"}]}), json_reply({"choices": []}))
    out, err = run("test_upstream", "provider")
    assert re.fullmatch(r"provider works: 1 models, gpt-a answered in \d+ ms\n", out)
    assert err == ""
    upstream.reply(json_reply({"data": [{"id": "gpt-a"}]}), json_reply({"choices": []}))
    report = json.loads(run("test_upstream", str(provider.id), "--json")[0])
    assert report.pop("latency_ms") >= 0
    assert report == {"upstream": "provider", "healthy": True, "models_found": 1, "tested_model": "gpt-a", "error": None, "keys": []}


def test_a_refused_key_fails_the_test_and_is_named(upstream, provider):
    stored("laptop", "sk-secret", provider)
    upstream.otherwise(json_reply({"error": {"message": "bad key sk-secret", "code": "invalid_api_key"}}, status=401))
    out = StringIO()
    with pytest.raises(CommandError, match="provider does not work: Models endpoint returned 401"):
        call_command("test_upstream", "provider", stdout=out)
    assert out.getvalue() == "key laptop: Models endpoint returned 401\n"
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("test_upstream", "provider", "--json", stdout=out)
    assert json.loads(out.getvalue())["healthy"] is False


@pytest.mark.parametrize(
    "options", [("--api-key", "sk-1"), ("--api-key", "env:KEY"), ("--api-key-env", "KEY"), ("--api-key", "-"), ("--api-key-file", "-"),
                ("--api-key", "file:{file}"), ("--api-key-file", "{file}")]
)  # fmt: skip
def test_an_upstream_gets_its_key_from_wherever_it_is(options, tmp_path, monkeypatch):
    (tmp_path / "key").write_text("sk-1\n")
    monkeypatch.setenv("KEY", "sk-1")
    monkeypatch.setattr("sys.stdin", StringIO("sk-1\n"))
    arguments = [option.format(file=tmp_path / "key") for option in options]
    out, _ = run("add_upstream", "acme", "--base-url", "http://127.0.0.1:1/v1", "--format", "anthropic", *arguments)
    assert out.splitlines() == [
        "upstream acme was created: http://127.0.0.1:1/v1",
        "`manage.py test_upstream acme` tests it",
        "`manage.py discover_models acme --import` imports its models",
    ]
    row = Upstream.objects.get()
    assert (row.name, row.base_url, row.dialect) == ("acme", "http://127.0.0.1:1/v1", "anthropic")
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "sk-1"


def test_an_upstream_of_a_preset_is_shown_as_the_management_api_shows_it():
    shown = json.loads(run("add_upstream", "local", "--preset", "groq", "--priority", "3", "--json")[0])
    row = Upstream.objects.get()
    assert (shown["id"], shown["name"], shown["base_url"], shown["preset"], shown["priority"]) == (
        str(row.id),
        "local",
        PRESETS["groq"].base_url,
        "groq",
        3,
    )
    assert not UpstreamCredential.objects.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--base-url or --preset is required"),
        (("--preset", "ollama"), "--base-url is required with this preset: http://{host}:11434/v1"),
        (("--base-url", "ftp://x"), "base_url: "),
        (("--base-url", "http://x", "--api-key", "env:NONE"), "--api-key: the environment has no variable NONE"),
        (("--base-url", "http://x", "--api-key-file", "/nowhere"), "--api-key: /nowhere cannot be read: No such file or directory"),
        (("--base-url", "http://x", "--api-key", " "), "--api-key: --api-key has no key"),
        (("--base-url", "http://x", "--api-key", "sk-1\nsk-2"), "--api-key: "),
        (("--base-url", "http://x", "--format", "soap"), "argument --format: invalid choice: 'soap'"),
        (("--base-url", "http://x", "--api-key", "a", "--api-key-env", "B"), "not allowed with argument --api-key"),
    ],
)
def test_bad_options_create_no_upstream(options, message, monkeypatch):
    monkeypatch.delenv("NONE", raising=False)
    with pytest.raises(CommandError, match=re.escape(message)) as caught:
        run("add_upstream", "acme", *options)
    assert "sk-1" not in str(caught.value)
    assert not Upstream.objects.exists()


def test_the_name_of_another_upstream_is_refused(provider):
    with pytest.raises(CommandError, match="An upstream with this name exists already"):
        run("add_upstream", "provider", "--base-url", "http://x")
