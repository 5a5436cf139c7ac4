"""``/api/v1/models``: the contract that scripts rely on."""

import uuid
from decimal import Decimal

import pytest

from billing.models import Price
from tests.support.management import ManagementClient

pytestmark = pytest.mark.django_db

MISSING_ID = str(uuid.UUID(int=7))


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


@pytest.fixture
def upstream_id(script) -> str:
    return script.create("/upstreams", name="u", base_url="http://127.0.0.1:9", api_key="k")["id"]


def test_a_model_shows_the_fields_of_the_original_pxbin_and_ours(script, upstream_id):
    created = script.create(
        "/models", name="m", upstream_id=upstream_id, remote_name="there", aliases=["also-*"], output_cost_per_million=2
    )
    assert script.get(f"/models/{created['id']}") == created
    expected = {
        "name": "m", "display_name": None, "provider": "", "upstream_id": upstream_id, "remote_name": "there", "aliases": ["also-*"],
        "input_cost_per_million": 0, "output_cost_per_million": 2, "is_active": True,
    }  # fmt: skip
    assert {name: created[name] for name in expected} == expected


@pytest.mark.parametrize("fields", [{}, {"name": ""}, {"name": None}])
def test_a_name_is_required(script, fields):
    assert script.send("POST", "/models", fields).error == (400, "invalid_request", "Name is required")


def test_a_second_one_of_the_same_name_is_a_conflict(script):
    script.create("/models", name="m")
    assert script.send("POST", "/models", {"name": "m"}).error[:2] == (409, "conflict")
    script.create("/models", name="m", path_prefix="/team")


@pytest.mark.parametrize(
    ("unknown_id", "error"),
    [
        (MISSING_ID, (409, "conflict", "upstream_id: there is no such upstream")),
        ("x", (400, "invalid_request", "Invalid upstream_id format")),
        ("", (400, "invalid_request", "Invalid upstream_id format")),
    ],
)
def test_an_upstream_that_does_not_exist_is_an_error_of_the_body(script, unknown_id, error):
    assert script.send("POST", "/models", {"name": "m", "upstream_id": unknown_id}).error == error
    assert script.get("/models") == []
    created = script.create("/models", name="m")["id"]
    assert script.send("PATCH", f"/models/{created}", {"upstream_id": unknown_id}).error == error


def test_an_unknown_price_is_null_beside_the_number_of_pxbin(script):
    created = script.create("/models", name="unheard-of", input_cost_per_million=0.25)
    prices = {name: created[name] for name in created if "cost_per_million" in name}
    assert prices == {
        "input_cost_per_million": 0.25,
        "input_cost_per_million_usd": "0.25",
        "output_cost_per_million": 0,
        "output_cost_per_million_usd": None,
    }


@pytest.mark.parametrize(("name", "remote_name"), [("u/*", "*"), ("u/m", ""), ("v/*", ""), ("u*", "")])
def test_a_pattern_below_the_name_of_its_upstream_reaches_what_that_lists(script, upstream_id, name, remote_name):
    assert script.create("/models", name=name, upstream_id=upstream_id)["remote_name"] == remote_name


def test_a_given_remote_name_of_such_a_pattern_counts(script, upstream_id):
    assert script.create("/models", name="u/*", upstream_id=upstream_id, remote_name="")["remote_name"] == ""


def test_a_model_that_gets_its_upstream_back_has_its_remote_name_again(script, upstream_id):
    created = script.create("/models", name="m", upstream_id=upstream_id, remote_name="there")["id"]
    values = []
    for new_upstream_id in (None, upstream_id):
        script.send("PATCH", f"/models/{created}", {"upstream_id": new_upstream_id})
        values.append([script.get(f"/models/{created}")[field] for field in ("upstream_id", "remote_name")])
    assert values == [[None, "there"], [upstream_id, "there"]]
    assert len(script.get(f"/routes?model_id={created}")) == 1


@pytest.mark.parametrize("path_prefix", ["team", "/team", "/team/", "team/"])
def test_a_path_prefix_may_be_written_with_or_without_slashes(script, path_prefix):
    assert script.create("/models", name="m", path_prefix=path_prefix)["path_prefix"] == "/team"


@pytest.mark.parametrize("path_prefix", ["/v1", "v1", "/admin", "/a b"])
def test_a_reserved_or_malformed_path_prefix_is_refused(script, path_prefix):
    status, kind, message = script.send("POST", "/models", {"name": "m", "path_prefix": path_prefix}).error
    assert (status, kind, message.partition(":")[0]) == (400, "invalid_request", "path_prefix")


def test_null_clears_and_missing_fields_are_unchanged(script):
    created = script.create("/models", name="m", display_name="D", provider="p", aliases=["a"])["id"]
    script.send("PATCH", f"/models/{created}", {"display_name": None, "name": None})
    item = script.get(f"/models/{created}")
    assert (item["name"], item["display_name"], item["provider"], item["aliases"]) == ("m", None, "p", ["a"])


def test_sending_the_shown_prices_back_creates_no_manual_price(script):
    created = script.create("/models", name="m", input_cost_per_million=0, output_cost_per_million=0)["id"]
    script.send("PATCH", f"/models/{created}", {"input_cost_per_million": 0, "output_cost_per_million": 0})
    assert not Price.objects.filter(source="manual").exists()
    script.send("PATCH", f"/models/{created}", {"input_cost_per_million": 1.5})
    for _ in range(2):
        item = script.get(f"/models/{created}")
        prices = {name: item[name] for name in ("input_cost_per_million", "output_cost_per_million")}
        assert prices == {"input_cost_per_million": 1.5, "output_cost_per_million": 0}
        script.send("PATCH", f"/models/{created}", prices)
    assert Price.objects.count() == 1


def test_one_price_leaves_the_other_unknown_and_not_free(script):
    created = script.create("/models", name="m", input_cost_per_million=1.5)["id"]
    price = Price.objects.get(model=created)
    assert (price.input, price.output) == (Decimal("1.5"), None)


def test_a_model_is_priced_free_or_unpriced(script, upstream_id):
    def state(name: str, **fields) -> str:
        model_id = script.create("/models", name=name, upstream_id=upstream_id, **fields)["id"]
        states = {item["id"]: item["price_state"] for item in script.get("/models")}
        assert script.get(f"/models/{model_id}")["price_state"] == states[model_id]
        return states[model_id]

    for remote_name, rate in (("local", "0"), ("dear", "3")):
        script.create("/prices", remote_name=remote_name, input=rate, output=rate)
    assert state("a", remote_name="local") == "free"
    assert state("b", remote_name="dear") == "priced"
    assert state("own", input_cost_per_million=3) == "priced"
    assert state("c") == "unpriced"


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_model_and_a_malformed_id(script, method):
    body = {} if method == "PATCH" else None
    assert script.send(method, f"/models/{MISSING_ID}", body).error == (404, "not_found", "Model not found")
    assert script.send(method, "/models/x", body).error == (400, "invalid_request", "Invalid ID format")


def test_imports_take_names_and_objects_and_skip_what_exists(script, upstream_id):
    script.create("/models", name="one")
    body = {"upstream_id": upstream_id, "models": ["one", "two", {"name": "three", "provider": "p"}, {"name": "four", "provider": None}]}
    response = script.send("POST", "/models/import", body)
    assert (response.status, response.data["models_created"], response.data["models_skipped"]) == (201, 3, 1)
    assert response.data["upstream"]["id"] == upstream_id
    assert {row["name"]: row["provider"] for row in script.get("/models")} == {"one": "", "two": "", "three": "p", "four": ""}


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"models": ["a"]}, 400, "upstream_id is required"),
        ({"upstream_id": "x", "models": ["a"]}, 400, "Invalid upstream_id format"),
        ({"upstream_id": MISSING_ID, "models": ["a"]}, 404, "Upstream not found"),
    ],
)
def test_an_import_needs_an_upstream(script, fields, status, message):
    response = script.send("POST", "/models/import", fields)
    assert (response.status, response.body["error"]["message"]) == (status, message)


@pytest.mark.parametrize("models", [[], None])
def test_an_import_needs_models(script, upstream_id, models):
    fields = {"upstream_id": upstream_id} | ({} if models is None else {"models": models})
    assert script.send("POST", "/models/import", fields).error == (400, "invalid_request", "At least one model is required")


@pytest.mark.parametrize("malformed", [5, {"name": 5}, {"name": "a", "provider": 5}, {"provider": "p"}, {"name": ""}, "", " "])
def test_an_import_with_a_malformed_model_is_refused(script, upstream_id, malformed):
    assert script.send("POST", "/models/import", {"upstream_id": upstream_id, "models": [malformed]}).status == 400
    assert script.get("/models") == []


def test_an_upstream_that_cannot_be_reached_is_a_bad_gateway(script, upstream_id):
    status, kind, message = script.send("POST", "/models/discover", {"upstream_id": upstream_id}).error
    assert (status, kind, message.partition(":")[0]) == (502, "upstream_error", "Failed to reach upstream")


def test_a_header_warns_of_models_in_a_body_that_do_not_exist(script):
    script.create("/models", name="claude-*", aliases=["best"])
    response = script.raw("POST", "/models", b'{"name": "m", "fallbacks": ["claude-x", "best"]}')
    typo = script.raw("POST", "/models", b'{"name": "n", "fallbacks": ["m", "goast", "\xc3\xa4"]}')
    key = script.raw("POST", "/keys", b'{"name": "k", "allowed_models": ["claude-*haiku*", "b*", "gpt-*"]}')
    assert "X-Pxbin-Warning" not in response
    assert typo["X-Pxbin-Warning"] == r"fallbacks: there is no model 'goast', '\xe4'"
    assert key["X-Pxbin-Warning"] == "allowed_models: there is no model 'gpt-*'"
    assert "X-Pxbin-Warning" not in script.raw("POST", "/keys", b'{"name": "k", "allowed_models": []}')
