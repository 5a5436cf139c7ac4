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
    assert problems({"Providers": []}) == ["config.json, line 2: Providers: there is no model"]
