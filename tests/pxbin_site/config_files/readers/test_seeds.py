"""proxx, claude-proxy and python-llm-proxy: what becomes of each field."""

import hashlib

import pytest

PROXX = {"port": 9000, "upstream_url": "https://api.z.ai/api/anthropic", "temperature": 0.7, "max_retries": 0}


def test_proxx(read):
    found = read(PROXX, "config.yaml")
    (upstream,) = found["upstreams"]
    assert (upstream["name"], upstream["format"], upstream["preset"]) == ("proxx", "anthropic", "zai-anthropic")
    assert (upstream["max_retries"], upstream["retry_base_delay_ms"], upstream["pass_client_credentials"]) == (0, 1000, True)
    assert "extra_headers" not in upstream
    assert found.pick("models", "name", "provider", "max_tokens_default", "temperature", "allow_anonymous") == [
        ("glm-4.7", "zhipu", 32000, 0.7, True),
        ("glm-4.6", "zhipu", 32000, 0.7, True),
        ("*", None, 32000, 0.7, True),
    ]
    assert found.pick("routes", "model", "remote_name") == [("glm-4.7", "glm-4.7"), ("glm-4.6", "glm-4.6"), ("*", "")]
    assert found.configuration.port == 9000
    assert any("the model * takes every name" in warning for warning in found.warnings)


def test_choices_for_proxx(read):
    found = read(PROXX, "config.yaml", client_identity=True, catch_all=False, require_keys=True)
    assert found["upstreams"][0]["extra_headers"]["User-Agent"] == "claude-cli/1.0.18 (pro, cli)"
    assert found.pick("models", "name", "allow_anonymous") == [("glm-4.7", False), ("glm-4.6", False)]
    assert any("may violate the provider's terms" in warning for warning in found.warnings)


def claude_proxy(**fields):
    models = [{"id": "a", "remote_id": "b", "note": 1}, {"id": "c"}]
    return {"providers": [{"base_url": "https://x.example/", "api_key": "k1", "models": models}], "log_body_max_chars": 0, **fields}


def test_claude_proxy(read):
    found = read(claude_proxy(ak="secret-of-clients", upstream_timeout_seconds=60))
    assert found.pick("upstreams", "name", "base_url", "first_byte_timeout_seconds") == [("x.example", "https://x.example", 60.0)]
    assert found.pick("credentials", "upstream", "secret") == [("x.example", "k1")]
    assert found.pick("models", "name", "display_name", "allow_anonymous") == [("a", "a", False), ("c", "c", False)]
    assert found.pick("routes", "model", "remote_name") == [("a", "b"), ("c", "c")]
    assert found["keys"] == [{"key_hash": hashlib.sha256(b"secret-of-clients").hexdigest(), "key_prefix": "secr", "name": "claude-proxy"}]
    assert (found.configuration.port, [item.rpartition(": ")[2] for item in found.not_taken]) == (
        8888,
        ["providers[0].models[0].note", "log_body_max_chars"],
    )


def test_claude_proxy_without_a_key_is_open_unless_keys_are_required(read):
    assert read(claude_proxy(ak="")).pick("models", "name", "allow_anonymous") == [("a", True), ("c", True)]
    assert read(claude_proxy(), require_keys=True).pick("models", "name", "allow_anonymous") == [("a", False), ("c", False)]


def test_providers_of_one_host_get_names_of_their_own(read):
    config = claude_proxy()
    config["providers"].append({"base_url": "https://x.example", "api_key": "k2", "models": [{"id": "d"}]})
    assert read(config).pick("credentials", "upstream", "secret") == [("x.example", "k1"), ("x.example-2", "k2")]


LLM_MODEL = {
    "frontend_model_name": "m",
    "frontend_base_url": "/team/",
    "backend_model_name": "r",
    "backend_base_url": "https://b.example",
}


def llm_proxy(*changes):
    return {"server": {"port": 8081, "workers": 2}, "models": [{**LLM_MODEL, **change} for change in changes]}


def test_llm_proxy(read):
    translated = {"frontend_dialect": "claude", "backend_dialect": "bedrock", "frontend_base_url": "/other", "inject_progress": True}
    found = read(llm_proxy({}, translated, {"backend_api_key": "k", "backend_auth_schema": "", "frontend_base_url": "/v1"}), "config.yaml")
    assert found.pick("models", "path_prefix", "name", "inject_progress") == [("/team", "m", None), ("/other", "m", True), ("", "m", None)]
    assert found.pick("upstreams", "name", "format", "pass_client_credentials", "auth_header", "auth_scheme") == [
        ("b.example", "passthrough", True, "", ""),
        ("b.example-2", "bedrock", True, "", ""),
        ("b.example-3", "passthrough", False, "Authorization", ""),
    ]
    assert found.pick("routes", "model", "upstream", "remote_name") == [
        ("/team/m", "b.example", "r"),
        ("/other/m", "b.example-2", "r"),
        ("m", "b.example-3", "r"),
    ]
    assert (found.configuration.port, found.not_taken) == (8081, ["config.yaml, line 3: server.workers"])


def test_equal_backends_share_an_upstream_and_of_equal_models_the_first_counts(read):
    found = read(llm_proxy({}, {"frontend_model_name": "n"}, {"backend_model_name": "other"}), "config.yaml")
    assert (len(found["upstreams"]), found.pick("routes", "model", "remote_name")) == (1, [("/team/m", "r"), ("/team/n", "r")])
    assert any("m below /team is in line 5 already, and the first one counts" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"port": 1}, "c.yaml", "is no configuration of"),
        ({"upstream_url": ""}, "c.yaml", "c.yaml, line 1: upstream_url is missing"),
        ({"upstream_url": "u", "port": "x"}, "c.yaml", "c.yaml, line 2: port: must be a whole number"),
        ({"providers": [{"api_key": "k", "models": []}]}, "c.json", "c.json, line 3: providers[0]: base_url is missing"),
        ({"providers": [{"base_url": "u", "models": []}]}, "c.json", "c.json, line 3: providers[0]: api_key is missing"),
        ({"providers": []}, "c.json", "c.json, line 2: providers: there is no model"),
        ({"ak": "x", "providers": "none"}, "c.json", "c.json, line 3: providers: must be a list"),
        (llm_proxy({"frontend_base_url": "team"}), "c.yaml", "c.yaml, line 6: models[0].frontend_base_url: must begin with /"),
        (
            llm_proxy({"frontend_dialect": "claude", "backend_dialect": "grpc"}),
            "c.yaml",
            "c.yaml, line 10: models[0].backend_dialect: 'grpc' is none of openai-chat, openai-responses, claude, bedrock",
        ),
    ],
)
def test_mistakes_name_the_line(problems, content, name, message):
    (problem,) = problems(content, name)
    assert problem.startswith(message) or message in problem


def test_an_id_that_is_given_twice(problems):
    config = claude_proxy()
    config["providers"][0]["models"].append({"id": "a"})
    assert problems(config) == ["config.json, line 16: providers[0].models[2].id: a is the id of another model already (line 7)"]


def test_a_format_may_be_named(problems):
    assert problems({"port": 1}, "c.yaml", format_name="proxx") == ["c.yaml, line 1: upstream_url is missing"]
