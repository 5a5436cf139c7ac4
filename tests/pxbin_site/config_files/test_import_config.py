"""`manage.py import_config` and `export_config`: pxbin's own files."""

import json
from decimal import Decimal
from io import StringIO

import pytest
import yaml
from django.core.management import CommandError, call_command
from django.test import override_settings

from accounts import keys
from accounts.models import ApiKey, Budget, KeyDefaults, ManagementKey, Owner, Pool
from billing.models import Price
from pxbin_site.config_files.formats import FORMATS
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

FULL = """\
pxbin: 1
upstreams:
- name: one
  base_url: https://one.example/v1
  cooldown_seconds: 5
  quirks: {top_k: true}
  credentials:
  - name: first
    secret: env:ONE_KEY
    priority: 1
  - name: second
    secret: plain-secret
- name: two
  base_url: https://two.example
  format: anthropic
  api_key: file:two.key
models:
- name: chat
  aliases: [talk]
  fallbacks: [team-chat]
  system_append: Be brief.
  routes:
  - upstream: one
    remote_name: chat-large
    weight: 3
  - upstream: two
    priority: 1
- name: team-chat
  path_prefix: /team
  upstream: two
  remote_name: claude-x
prices:
- model: chat
  input: 1.5
  output: "2"
- model: /team/team-chat
  upstream: two
  input: "0"
owners:
- {name: research, kind: team}
pools:
- name: agents
keys:
- name: laptop
  key: env:LAPTOP_KEY
  owner: research
  pools: [agents, unlisted]
  rate_limit: 60
  allowed_models: [chat]
  expires_at: 2099-01-31T00:00:00Z
budgets:
- {scope: key, key: laptop, amount_usd: 5, period: monthly}
- {scope: pool, pool: agents, amount_usd: "0.5", mode: soft}
- {scope: global, amount_usd: 100, period: daily}
key_defaults:
  rate_limit: 10
  budget_usd: "2.5"
management_keys:
- name: script
  key_hash: 6d8fae3a39e0a6d0b5f4d1d66c3d3b1f7e9a0f0f0a1b2c3d4e5f60718293a4b5
  permissions: [read]
"""
VARIABLES = {"ONE_KEY": "sk-one", "LAPTOP_KEY": "pxb_" + "a" * 40}


@pytest.fixture(autouse=True)
def _variables():
    with override_settings(VARIABLES=VARIABLES):
        yield


@pytest.fixture
def written(tmp_path):
    (tmp_path / "two.key").write_text("sk-two\n")

    def write(text, name="pxbin.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def command(name, *arguments):
    out = StringIO()
    call_command(name, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def imported(path, *arguments):
    return json.loads(command("import_config", path, "--json", *arguments))


def changes(report):
    return [(change["action"], change["kind"], change["name"]) for change in report["changes"]]


def problems(path, *arguments):
    with pytest.raises(CommandError) as refused:
        command("import_config", path, *arguments)
    return str(refused.value).replace(path, "FILE").splitlines()


def test_every_kind_of_row_is_imported(written):
    imported(written(FULL))
    secrets = {(row.upstream.name, row.name, store.decrypt(row.secret_encrypted)) for row in UpstreamCredential.objects.all()}
    assert secrets == {("one", "first", "sk-one"), ("one", "second", "plain-secret"), ("two", "default", "sk-two")}
    assert set(Upstream.objects.values_list("name", "dialect", "cooldown_seconds")) >= {("one", "openai_chat", 5.0)}
    assert set(Route.objects.values_list("model__name", "upstream__name", "remote_name", "priority", "weight")) == {
        ("chat", "one", "chat-large", 0, 3),
        ("chat", "two", "", 1, 1),
        ("team-chat", "two", "claude-x", 0, 1),
    }
    assert set(Price.objects.values_list("model__name", "upstream__name", "input", "output")) == {
        ("chat", None, 1.5, 2),
        ("team-chat", "two", 0, None),
    }
    key = ApiKey.objects.get()
    assert (key.key_hash, key.key_prefix, str(key.owner)) == (keys.hash_key(VARIABLES["LAPTOP_KEY"]), "pxb_aaaa", "research")
    assert (key.allowed_models, key.expires_at.isoformat()) == (["chat"], "2099-01-31T00:00:00+00:00")
    assert (key.rate_limit, key.owner.kind, sorted(str(pool) for pool in key.pools.all())) == (60, "team", ["agents", "unlisted"])
    assert [(str(budget), budget.amount_usd, budget.mode) for budget in Budget.objects.all()] == [
        ("key laptop, month", 5, "hard"),
        ("pool agents, for ever", Decimal("0.5"), "soft"),
        ("all requests, day", 100, "hard"),
    ]
    assert (KeyDefaults.current().rate_limit, KeyDefaults.current().budget_usd) == (10, Decimal("2.5"))
    assert ManagementKey.objects.get().permissions == ["read"]


def test_a_second_import_changes_nothing(written):
    path = written(FULL)
    first, second = imported(path), imported(path)
    assert (first["applied"], first["changed"], first["summary"]["create"]) == (True, True, 20)
    assert (second["changed"], second["changes"]) == (False, [])
    assert command("import_config", path).splitlines()[-1] == "nothing to change"


def test_what_the_tables_tidy_is_no_difference(written):
    path = written("upstreams:\n- {name: ' u ', base_url: ' https://u.example/v1/chat/completions/ '}\n")
    imported(path)
    assert (Upstream.objects.get().name, Upstream.objects.get().base_url) == ("u", "https://u.example/v1")
    assert imported(path)["changed"] is False


def test_an_export_is_the_same_configuration_without_secrets(written):
    imported(written(FULL))
    text = command("export_config")
    assert not [secret for secret in ("sk-one", "sk-two", "plain-secret", VARIABLES["LAPTOP_KEY"]) if secret in text]
    content = yaml.safe_load(text)
    assert [credential["secret"] for upstream in content["upstreams"] for credential in upstream["credentials"]] == [
        "env:ONE_KEY",
        "env:ONE_SECOND_API_KEY",
        "file:two.key",
    ]
    assert json.loads(command("export_config", "--json")) == content
    report = imported(written(text, "export.yaml"), "--prune", "--dry-run", "--exit-code")
    assert (report["changed"], report["warnings"]) == (False, [])

    for table in (Price, Route, Model, UpstreamCredential, Upstream, Budget, ApiKey, Pool, KeyDefaults, ManagementKey, Owner):
        table.objects.all().delete()
    with override_settings(VARIABLES={"ONE_KEY": "a", "ONE_SECOND_API_KEY": "b"}):
        imported(written(text, "export.yaml"))
    assert command("export_config") == text.replace("env:ONE_SECOND_API_KEY", "env:ONE_SECOND_API_KEY")


def test_secrets_are_exported_only_on_demand(written):
    imported(written(FULL))
    content = yaml.safe_load(command("export_config", "--with-secrets"))
    assert content["upstreams"][0]["credentials"][0] == {"name": "first", "secret": "sk-one", "priority": 1}


def test_a_dry_run_says_what_would_change_and_changes_nothing(written):
    imported(written(FULL))
    changed = FULL.replace("Be brief.", "Be kind.").replace("cooldown_seconds: 5", "cooldown_seconds: 7")
    lines = command("import_config", written(changed), "--dry-run").splitlines()
    assert lines == [
        "~ upstream one",
        "    cooldown_seconds: 5.0 -> 7.0",
        "~ model chat",
        "    system_append: Be brief. -> Be kind.",
        "0 to create, 2 to change, 0 to delete",
    ]
    with pytest.raises(SystemExit) as ended:
        command("import_config", written(changed), "--dry-run", "--exit-code")
    assert (ended.value.code, Model.objects.get(name="chat").system_append) == (3, "Be brief.")


def test_a_column_that_the_file_does_not_name_has_its_default(written):
    path = written(FULL)
    imported(path)
    Model.objects.filter(name="chat").update(temperature=0.5)
    report = imported(path, "--dry-run")
    assert [change["fields"] for change in report["changes"]] == [{"temperature": {"before": 0.5, "after": None}}]


def test_prune_ends_what_the_file_does_not_list(written):
    imported(written(FULL))
    shorter = yaml.safe_load(FULL)
    shorter["upstreams"][0]["credentials"].pop()
    shorter["models"] = shorter["models"][:1]
    del shorter["models"][0]["routes"][1], shorter["models"][0]["fallbacks"], shorter["prices"], shorter["management_keys"]
    shorter["keys"] = []
    path = written(yaml.safe_dump(shorter))
    assert changes(imported(path)) == [("update", "model", "chat")]
    assert changes(imported(path, "--prune")) == [
        ("delete", "key", "laptop (pxb_aaaa…)"),
        ("delete", "pool", "unlisted"),
        ("delete", "route", "chat -> two"),
        ("delete", "route", "/team/team-chat -> two: claude-x"),
        ("delete", "model", "/team/team-chat"),
        ("delete", "credential", "one: second"),
    ]
    assert (ApiKey.objects.get().is_active, ManagementKey.objects.get().is_active, Model.objects.count()) == (False, True, 1)
    assert imported(path, "--prune")["changed"] is False


def test_prune_keeps_what_other_rows_name(written):
    path = written(FULL)
    imported(path)
    assert imported(path, "--prune")["changed"] is False


def test_a_new_price_replaces_the_old_one_which_stays_for_the_log(written):
    imported(written(FULL))
    old = Price.objects.get(model__name="chat")
    report = imported(written(FULL.replace("input: 1.5", "input: 3")))
    assert [(change["action"], change["fields"]) for change in report["changes"]] == [
        ("update", {"input": {"before": "1.5", "after": "3"}})
    ]
    old.refresh_from_db()
    new = Price.objects.get(model__name="chat", is_active=True)
    assert (old.is_active, old.valid_until, new.input, new.output) == (False, new.valid_from, 3, 2)


def test_limits_budgets_and_pools_are_compared(written):
    imported(written(FULL))
    changed = (
        FULL.replace("[agents, unlisted]", "[agents]").replace("amount_usd: 5", "amount_usd: 6").replace("rate_limit: 10", "rate_limit: 20")
    )
    report = imported(written(changed))
    assert [(change["kind"], change["name"], change["fields"]) for change in report["changes"]] == [
        ("key", "laptop (pxb_aaaa…)", {"pools": {"before": ["agents", "unlisted"], "after": ["agents"]}}),
        ("budget", "key laptop, month", {"amount_usd": {"before": "5", "after": "6"}}),
        ("row", "Defaults for new keys", {"rate_limit": {"before": 10, "after": 20}}),
    ]
    assert imported(written(changed))["changed"] is False


def test_a_secret_is_compared_but_never_shown(written):
    imported(written(FULL))
    report = imported(written(FULL.replace("plain-secret", "other-secret")))
    assert [(change["name"], change["fields"]) for change in report["changes"]] == [
        ("one: second", {"secret": {"before": None, "after": "********"}})
    ]
    assert "other-secret" not in json.dumps(report)


def test_a_secret_that_is_not_there_makes_no_credential_and_keeps_an_old_one(written):
    path = written(FULL)
    with override_settings(VARIABLES={"LAPTOP_KEY": VARIABLES["LAPTOP_KEY"]}):
        report = imported(path)
        assert [warning.partition(": ")[2] for warning in report["warnings"]] == [
            "upstreams[0].credentials[0]: env:ONE_KEY is empty, so the credential is not made"
        ]
    assert changes(imported(path)) == [("create", "credential", "one: first")]
    with override_settings(VARIABLES={"LAPTOP_KEY": VARIABLES["LAPTOP_KEY"]}):
        assert imported(path)["changed"] is False


def test_a_preset_fills_in_a_row_without_a_base_url(written):
    imported(written("upstreams:\n- {name: g, preset: groq, api_key: sk}\n"))
    row = Upstream.objects.get()
    assert (row.base_url, row.preset, "efforts" in row.quirks) == ("https://api.groq.com/openai/v1", "groq", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("upstreams:\n- name: a\n  base_url: ftp://x\n", ["FILE, line 2: upstreams[0]: base_url: Enter a URL that begins with http"]),
        (
            "upstreams:\n- name: a\n  base_url: http://a\n  bas_url: x\n- base_url: http://b\n",
            [
                "FILE, line 4: upstreams[0].bas_url: there is no such field (did you mean base_url?)",
                "FILE, line 5: upstreams[1]: name is missing",
            ],
        ),
        (
            "upstreams:\n- {name: a, base_url: x, api_key: k}\nmodels:\n- {name: m, upstream: a}\n",
            ["FILE, line 2: upstreams[0]: base_url: Enter a URL that begins with http"],
        ),
        ("models:\n- name: m\n  upstream: gone\n", ["FILE, line 2: models[0]: upstream: there is no upstream gone"]),
        (
            "models:\n- name: m\n  is_active: 3\n- name: m\n  path_prefix: x\n",
            [
                "FILE, line 2: models[0]: is_active: Enter true or false.",
                "FILE, line 4: models[1]: path_prefix: A path prefix begins with /",
            ],
        ),
        ("keys:\n- name: k\n", ["FILE, line 2: keys[0]: key_hash is missing; key: env:NAME takes the key itself from the environment"]),
        ("keys:\n- {name: k, key: env:NOT_SET}\n", ["FILE, line 2: keys[0].key: env:NOT_SET is empty"]),
        ("pxbin: 2\n", ["FILE, line 1: pxbin: this is version 2 of the format; pxbin reads version 1"]),
        ("pxbin: 1\nmodel: []\n", ["FILE, line 2: model: there is no such section (did you mean models?)"]),
        ("listen_adr: ':1'\nlog_format: json\n", ["FILE, line 1: listen_adr: there is no such setting (did you mean listen_addr?)"]),
        ("log_format: xml\n", ["FILE, line 1: log_format: must be one of json, text"]),
        ("- 1\n", ["FILE, line 1: must contain names and values"]),
        ("unknown: 1\n", [f"FILE, line 1: is no configuration of {', '.join(FORMATS)}. --format names one"]),
    ],
)
def test_errors_name_the_line_and_nothing_is_written(written, text, expected):
    found = problems(written(text))
    assert [line.startswith(start) for line, start in zip(found, expected, strict=True)] == [True] * len(expected), found
    assert (Upstream.objects.count(), Model.objects.count(), ApiKey.objects.count()) == (0, 0, 0)


def test_settings_are_printed_with_masked_secrets(written):
    path = written('listen_addr: ":8080"\ndatabase_url: "postgres://u:p@h/d"\ncors_origins: ["http://a"]\nmanagement_bootstrap_key: ""\n')
    assert command("import_config", path).splitlines()[:4] == [
        "PXBIN_LISTEN_ADDR=:8080",
        "PXBIN_DATABASE_URL=********",
        "PXBIN_CORS_ORIGINS=http://a",
        "PXBIN_MANAGEMENT_BOOTSTRAP_KEY=",
    ]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        command("import_config", str(tmp_path / "none.yaml"))
