"""claude-code-router's config.json."""

PROVIDERS = [
    {
        "name": "deepseek",
        "api_base_url": "https://api.deepseek.com/chat/completions",
        "api_key": "$DEEP",
        "models": ["chat", "reasoner"],
        "transformer": {"use": ["deepseek", ["maxtoken", {"max_tokens": 9}]], "chat": {"use": ["tooluse", "own"]}},
    },
    {
        "name": "gemini",
        "api_base_url": "https://generativelanguage.googleapis.com/v1beta/models/",
        "api_key": "k",
        "models": ["flash"],
        "transformer": {"use": ["gemini"]},
    },
    {
        "name": "claude",
        "api_base_url": "https://api.anthropic.com/v1/messages",
        "api_key": "k",
        "models": ["opus"],
        "transformer": {"use": ["Anthropic"]},
    },
]
ROUTER = {"default": "deepseek,chat", "background": "gemini,flash", "think": "deepseek,reasoner", "longContext": "claude,opus"}


def config(**fields):
    return {"APIKEY": "of-all-clients", "Providers": PROVIDERS, "Router": {**ROUTER, "longContextThreshold": 70000}, **fields}


def test_providers_become_upstreams(read):
    found = read(config(API_TIMEOUT_MS=5000), variables={"DEEP": "dk"})
    assert found.pick("upstreams", "name", "base_url", "format", "preset", "first_byte_timeout_seconds") == [
        ("deepseek", "https://api.deepseek.com", "openai", "deepseek", 5.0),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "openai", "gemini", 5.0),
        ("claude", "https://api.anthropic.com/v1", "anthropic", "anthropic", 5.0),
    ]
    assert [row["quirks"].get("api_path") for row in found["upstreams"][:2]] == ["/chat/completions", "/chat/completions"]
    assert found.pick("credentials", "upstream", "secret") == [("deepseek", "dk"), ("gemini", "k"), ("claude", "k")]


def test_the_router_becomes_patterns(read):
    found = read(config())
    assert found.pick("models", "name", "aliases", "fallbacks", "max_tokens_cap") == [
        ("deepseek,chat", ["deepseek/chat"], None, 9),
        ("deepseek,reasoner", ["deepseek/reasoner"], None, 9),
        ("gemini,flash", ["gemini/flash"], None, None),
        ("claude,opus", ["claude/opus"], None, None),
        ("*", None, ["claude,opus"], 9),
        ("claude-*haiku*", None, None, None),
    ]
    assert found.pick("routes", "model", "remote_name", "context_window")[-2:] == [("*", "chat", 70000), ("claude-*haiku*", "flash", None)]
    assert [item.partition(": ")[2] for item in found.not_taken] == [
        "Providers[0].transformer.chat.use[1] (transformer own)",
        "Router.think (requests are not told apart by it)",
    ]
    assert read(config(), catch_all=False)["models"][-2]["name"] == "claude-*"


def test_keys_ports_and_open_gateways(read):
    found = read(config(PORT="1234", HOST="0.0.0.0"))
    assert (found.configuration.host, found.configuration.port, found["keys"][0]["key_prefix"]) == ("0.0.0.0", 1234, "of-")
    assert read(config(APIKEY=""))["models"][0]["allow_anonymous"] is True
    assert read(config(APIKEY="", PORT=None), require_keys=True).configuration.port == 3456


def test_mistakes_name_the_line(problems):
    (problem,) = problems(config(Router={"default": "none,x"}))
    assert problem.endswith("Router.default: there is no model none,x")
    assert problems({"Providers": []}) == ["config.json, line 2: Providers: there is no provider"]


def test_providers_of_all_models_and_of_the_responses_api(read):
    providers = [
        {"name": "any", "api_base_url": "https://any.example/v1", "api_key": "k", "models": ["*"], "transformer": {"use": ["own"]}},
        {"name": "openai", "api_base_url": "https://api.openai.com/v1/responses", "api_key": "k", "models": ["gpt"]},
    ]
    found = read({"Providers": providers, "API_TIMEOUT_MS": "6000", "Router": {"default": "any,flash", "background": ""}})
    assert found.pick("upstreams", "name", "base_url", "format", "first_byte_timeout_seconds") == [
        ("any", "https://any.example", "openai", 6.0),
        ("openai", "https://api.openai.com/v1", "openai_responses", 6.0),
    ]
    assert found.pick("routes", "model", "upstream", "remote_name") == [
        ("any,*", "any", "*"),
        ("openai,gpt", "openai", "gpt"),
        ("any,flash", "any", "flash"),
        ("*", "any", "flash"),
    ]


def test_the_proxy_is_that_of_other_machines(read):
    providers = [
        {"name": "far", "api_base_url": "https://any.example/v1/chat/completions", "api_key": "k", "models": ["m"]},
        {"name": "near", "api_base_url": "http://127.0.0.1:1/v1/chat/completions", "api_key": "k", "models": ["m"]},
    ]
    assert read({"Providers": providers, "PROXY_URL": "http://p:1"}).pick("upstreams", "proxy") == [("http://p:1",), (None,)]
    found = read({"Providers": providers, "PROXY_URL": "http://u:secret@p:1"})
    assert found.pick("upstreams", "proxy") == [(None,), (None,)]
    assert [item.partition(": ")[2] for item in found.not_taken] == ["PROXY_URL (it has a password: set it as PXBIN_HTTP_PROXY)"]
