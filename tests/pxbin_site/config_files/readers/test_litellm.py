"""LiteLLM's config.yaml."""

import pytest


def config(*deployments, **sections):
    return {"model_list": [{"model_name": name, "litellm_params": params} for name, params in deployments], **sections}


def test_deployments_share_an_upstream_if_provider_address_and_key_are_the_same(read):
    found = read(
        config(
            ("a", {"model": "openai/gpt-4o", "api_key": "k1"}),
            ("b", {"model": "gpt-4o-mini", "api_key": "k1", "max_tokens": 9, "temperature": 0.1}),
            ("c", {"model": "openai/gpt-4o", "api_key": "k2"}),
            ("d", {"model": "claude-3", "api_key": "k3"}),
            ("e", {"model": "openai/llama", "api_base": "https://l.example/v2/", "api_key": "k4"}),
            ("f", {"model": "llama", "custom_llm_provider": "ollama", "api_base": "http://127.0.0.1:11434"}),
        ),
        "config.yaml",
    )
    assert found.pick("upstreams", "name", "base_url", "format", "preset") == [
        ("openai", "https://api.openai.com/v1", "openai", "openai"),
        ("openai-2", "https://api.openai.com/v1", "openai", "openai"),
        ("anthropic", "https://api.anthropic.com", "anthropic", "anthropic"),
        ("l.example", "https://l.example/v2", "openai", None),
        ("ollama", "http://127.0.0.1:11434", "openai", "ollama"),
    ]
    assert found.pick("routes", "model", "upstream", "remote_name") == [
        ("a", "openai", "gpt-4o"),
        ("b", "openai", "gpt-4o-mini"),
        ("c", "openai-2", "gpt-4o"),
        ("d", "anthropic", "claude-3"),
        ("e", "l.example", "llama"),
        ("f", "ollama", "llama"),
    ]
    assert found["models"][1]["max_tokens_default"] == 9
    assert found["models"][1]["body_defaults"] == {"temperature": 0.1}


def test_several_deployments_of_a_name_with_strategy_fallbacks_and_aliases(read):
    found = read(
        config(
            ("a", {"model": "openai/x", "api_key": "k", "weight": 3, "order": 1}),
            ("a", {"model": "groq/x", "api_key": "k"}),
            ("b", {"model": "groq/y", "api_key": "k"}),
            router_settings={
                "routing_strategy": "latency-based-routing",
                "num_retries": 2,
                "cooldown_time": 30,
                "fallbacks": [{"a": ["b"]}, {"gone": ["b"]}],
                "model_group_alias": {"gpt": "a", "lost": "gone"},
                "allowed_fails": 3,
            },
            litellm_settings={"request_timeout": 50, "default_fallbacks": ["b"], "drop_params": True, "callbacks": ["x"]},
        ),
        "config.yaml",
    )
    assert found.pick("models", "name", "strategy", "fallbacks", "aliases") == [("a", "latency", ["b"], ["gpt"]), ("b", None, [], None)]
    assert found.pick("routes", "remote_name", "weight", "priority") == [("x", 3, 1), ("x", None, None), ("y", None, None)]
    assert found.pick("upstreams", "max_retries", "cooldown_seconds", "first_byte_timeout_seconds") == [(2, 30.0, 50.0)] * 2
    assert [item.partition(": ")[2] for item in found.not_taken] == [
        "router_settings.fallbacks[1].gone (there is no such model)",
        "router_settings.model_group_alias.lost (its model is missing, or the name is a model's)",
        "router_settings.allowed_fails",
        "litellm_settings.callbacks",
    ]


def test_references_to_the_environment(read):
    content = config(
        ("az", {"model": "azure/dep", "api_base": "os.environ/AZ_BASE", "api_key": "os.environ/AZ_KEY", "api_version": "2024-01-01"}),
        ("oa", {"model": "openai/x"}),
        ("br", {"model": "bedrock/anthropic.claude-3", "aws_region_name": "us-west-2", "aws_access_key_id": "AK",
                "aws_secret_access_key": "os.environ/AWS_SECRET"}),
        environment_variables={"AWS_SECRET": "of-the-file"},
        general_settings={"master_key": "os.environ/MASTER"},
    )  # fmt: skip
    found = read(content, "config.yaml", variables={"AZ_BASE": "https://me.openai.azure.com/", "AZ_KEY": "az", "MASTER": "sk-master-key"})
    assert found.pick("upstreams", "base_url", "format", "auth_header", "region") == [
        ("https://me.openai.azure.com/openai/v1", "openai", "api-key", None),
        ("https://api.openai.com/v1", "openai", None, None),
        ("", "bedrock", None, "us-west-2"),
    ]
    assert found.pick("credentials", "name", "secret", "access_key_id") == [("AZ_KEY", "az", None), ("AWS_SECRET", "of-the-file", "AK")]
    assert found.pick("keys", "name", "key_prefix") == [("litellm master key", "sk-")]
    assert [warning.partition(": ")[2] for warning in found.warnings] == [
        "model_list[1].litellm_params: OPENAI_API_KEY is not set, so the upstream openai has no key"
    ]
    assert [item.partition(": ")[2] for item in found.not_taken] == ["model_list[0].litellm_params.api_version"]


def test_prices_windows_and_what_has_no_counterpart(read):
    content = config(("v", {"model": "vertex_ai/gemini"}), ("g", {"model": "groq/x", "api_key": "k"}))
    content["model_list"][1]["model_info"] = {
        "input_cost_per_token": 0.0000005, "output_cost_per_token": 0.0000015, "max_input_tokens": 8000, "base_model": "x",
    }  # fmt: skip
    found = read(content, "config.yaml")
    assert found.pick("prices", "remote_name", "upstream", "input", "output") == [("x", "groq", "0.5", "1.5")]
    assert found.pick("models", "name", "context_window", "allow_anonymous") == [("g", 8000, True)]
    assert [item.partition(": ")[2] for item in found.not_taken] == [
        "model_list[0].litellm_params.model (vertex_ai/gemini: the provider vertex_ai has no counterpart)",
        "model_list[1].model_info.base_model",
    ]
    assert found.warnings == [
        "master_key is not set: the models are open to clients without a key, as at LiteLLM; --require-keys closes them"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_list": [{"litellm_params": {}}]}, "config.yaml, line 2: model_list[0]: model_name is missing"),
        ({"model_list": [{"model_name": "a"}]}, "config.yaml, line 2: model_list[0].litellm_params: model is missing"),
        ({"model_list": {"a": 1}}, "config.yaml, line 1: model_list: must be a list"),
    ],
)
def test_mistakes_name_the_line(problems, content, message):
    assert problems(content, "config.yaml") == [message]


def test_providers_without_an_address(read):
    deployments = [("o", {"model": "ollama/llama2"}), ("b", {"model": "bedrock/us.anthropic.x"}), ("v", {"model": "hosted_vllm/x"})]
    found = read(config(*deployments), "config.yaml")
    assert found.pick("upstreams", "name", "base_url", "region") == [
        ("ollama", "http://localhost:11434", None),
        ("bedrock", "", "us-west-2"),
    ]
    assert [item.partition(": ")[2] for item in found.not_taken] == ["model_list[2].litellm_params (api_base is missing)"]
