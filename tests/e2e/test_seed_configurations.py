"""The example configurations of other gateways' READMEs: `serve --config FILE` serves what each README shows.

Only addresses and ports differ from the READMEs: the upstream is a scripted one on loopback.
"""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.support.fake_upstream import event, json_reply, sse
from tests.support.gateway import ROOT, Gateway, clean_environment
from tests.support.ports import free_port

USER = [{"role": "user", "content": "Hello!"}]
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "theirs",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "theirs",
    "content": [{"type": "text", "text": "Hi there"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@contextmanager
def serving(path, *arguments, **variables):
    """A gateway started with the file of another one, at the port of the file."""
    with Gateway.started("--config", str(path), *arguments, PXBIN_LISTEN_ADDR="", **variables) as gateway:
        yield gateway


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return path


def post(gateway, path, body, **headers):
    return gateway.http.post(gateway.url + path, headers=headers, json=body)


def sent(upstream):
    """The path, the credentials and the model of the last request that the upstream got."""
    request = upstream.requests[-1]
    credentials = {name: value for name in ("authorization", "x-api-key") if (value := request.header(name))}
    return request.path, credentials, request.json().get("model")


def proxx(tmp_path, upstream, port):
    text = f'port: {port}\nupstream_url: "{upstream.url}/api/anthropic"\n# temperature: 0.7\nmax_retries: 3\nretry_base_delay_ms: 1\n'
    return written(tmp_path / "config.yaml", text)


def test_proxx(tmp_path, upstream):
    port = free_port()
    upstream.otherwise(json_reply(MESSAGE))
    with serving(proxx(tmp_path, upstream, port)) as gateway:
        assert gateway.port == port
        own = {"authorization": "Bearer sk-of-the-client"}
        listed = gateway.http.get(f"{gateway.url}/v1/models", headers=own).json()
        assert [(model["id"], model["owned_by"]) for model in listed["data"]] == [("glm-4.6", "zhipu"), ("glm-4.7", "zhipu")]

        answer = post(gateway, "/v1/chat/completions", {"model": "glm-4.7", "messages": USER, "stream": False}, **own)
        assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Hi there")
        assert sent(upstream) == ("/api/anthropic/v1/messages", {"x-api-key": "sk-of-the-client"}, "glm-4.7")
        body = upstream.requests[-1].json()
        assert (body["max_tokens"], body.get("temperature")) == (32000, None)
        assert upstream.requests[-1].header("user-agent") == "pxbin"

        answer = post(gateway, "/v1/chat/completions", {"model": "any-other", "messages": USER}, **own)
        assert (answer.status_code, sent(upstream)[2]) == (200, "any-other")

        before = len(upstream.requests)
        refused = post(gateway, "/v1/chat/completions", {"model": "glm-4.7", "messages": USER})
        assert (refused.status_code, len(upstream.requests)) == (401, before)


def test_proxx_retries_429(tmp_path, upstream):
    upstream.reply(json_reply({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}, status=429))
    upstream.otherwise(json_reply(MESSAGE))
    with serving(proxx(tmp_path, upstream, free_port()), "--client-identity") as gateway:
        answer = post(gateway, "/v1/chat/completions", {"model": "glm-4.7", "messages": USER}, authorization="Bearer sk-own")
        assert (answer.status_code, len(upstream.requests)) == (200, 2)
        assert upstream.requests[-1].header("user-agent") == "claude-cli/1.0.18 (pro, cli)"


def claude_proxy(upstream, port):
    models = [
        {"id": "glm", "display_name": "glm4.7", "remote_id": "deepseek-chat"},
        {"id": "minimax", "display_name": "minimax2.1", "remote_id": "mimo-v2-flash"},
    ]
    return {
        "ak": "your-proxy-api-key",
        "port": port,
        "upstream_timeout_seconds": 300,
        "log_body_max_chars": 4096,
        "log_stream_text_preview_chars": 256,
        "providers": [{"base_url": upstream.url, "api_key": "your-upstream-api-key", "models": models}],
    }


def test_claude_proxy(tmp_path, upstream):
    port = free_port()
    upstream.otherwise(json_reply(CHAT))
    with serving(written(tmp_path / "config.json", claude_proxy(upstream, port))) as gateway:
        assert gateway.port == port
        ak = {"authorization": "Bearer your-proxy-api-key"}
        listed = gateway.http.get(f"{gateway.url}/v1/models", headers=ak).json()
        assert [model["id"] for model in listed["data"]] == ["echo", "echo-anthropic", "glm", "minimax"]

        body = {"model": "glm", "max_tokens": 256, "messages": [{"role": "user", "content": "hello"}]}
        answer = post(gateway, "/v1/messages", body, **ak)
        assert (answer.status_code, answer.json()["content"][0]["text"]) == (200, "Hi there")
        assert sent(upstream) == ("/v1/chat/completions", {"authorization": "Bearer your-upstream-api-key"}, "deepseek-chat")
        assert post(gateway, "/v1/messages", body, **{"x-api-key": "your-proxy-api-key"}).status_code == 200
        assert post(gateway, "/v1/messages", body, **{"x-api-key": "another-key"}).status_code == 401

        pieces = [{"delta": {"role": "assistant", "content": "Hi"}}, {"delta": {}, "finish_reason": "stop"}]
        chunks = [event({**CHAT, "object": "chat.completion.chunk", "choices": [{"index": 0, **piece}]}) for piece in pieces]
        upstream.reply(sse(*chunks, event("[DONE]")))
        streamed = post(gateway, "/v1/messages", {**body, "stream": True}, **ak)
        assert "event: message_stop" in streamed.text


def test_an_unchanged_file_is_not_imported_again(tmp_path, upstream):
    path = written(tmp_path / "config.json", claude_proxy(upstream, free_port()))
    with serving(path) as gateway:
        (model,) = [row for row in gateway.api("GET", "/models") if row["name"] == "glm"]
        gateway.api("PATCH", f"/models/{model['id']}", json={"display_name": "changed here"})
        gateway.stop()
        gateway.restart()
        names = {row["name"]: row["display_name"] for row in gateway.api("GET", "/models")}
        assert names["glm"] == "changed here"
        gateway.stop()
        written(path, {**claude_proxy(upstream, gateway.port), "log_body_max_chars": 0})
        gateway.restart()
        names = {row["name"]: row["display_name"] for row in gateway.api("GET", "/models")}
        assert names["glm"] == "glm4.7"


def test_a_dry_run_before_the_first_start_compares_with_an_empty_gateway_and_writes_no_file(tmp_path, upstream):
    path = written(tmp_path / "config.json", claude_proxy(upstream, 8888))
    command = [sys.executable, str(ROOT / "manage.py"), "import_config", str(path), "--dry-run", "--exit-code"]
    data_dir = tmp_path / "data"
    process = subprocess.run(
        command, env=clean_environment(PXBIN_DATA_DIR=str(data_dir)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stdout.splitlines()[-1]) == (3, "7 to create, 0 to change, 0 to delete")
    assert not data_dir.exists()


def test_an_address_of_the_settings_wins_over_the_port_of_the_file(tmp_path, upstream):
    path, port = written(tmp_path / "config.json", claude_proxy(upstream, free_port())), free_port()
    with serving(path, "--port", str(port)) as gateway:
        assert gateway.port == port


def test_llm_proxy(tmp_path, upstream):
    port = free_port()
    common = {"backend_auth_header": "Authorization", "backend_auth_schema": "Bearer"}
    models = [
        {
            "frontend_model_name": "gpt-4-proxy",
            "frontend_base_url": "/openai",
            "backend_model_name": "gpt-4",
            "backend_base_url": upstream.url,
            "backend_api_key": "sk-...",
            **common,
        },
        {
            "frontend_model_name": "claude-via-openai",
            "frontend_base_url": "/openai-compat",
            "frontend_dialect": "openai-chat",
            "backend_model_name": "claude-3-5-sonnet-20241022",
            "backend_base_url": upstream.url,
            "backend_api_key": "sk-ant-...",
            "backend_auth_header": "x-api-key",
            "backend_auth_schema": "",
            "backend_dialect": "claude",
            "system_replacements": {"old": "new"},
            "system_append": "Be brief.",
        },
        {
            "frontend_model_name": "gpt-4-proxy",
            "frontend_base_url": "/own",
            "backend_model_name": "gpt-4o",
            "backend_base_url": upstream.url,
            "backend_api_key": "",
        },
    ]
    upstream.otherwise(lambda request: json_reply(MESSAGE if request.path.endswith("/messages") else CHAT))
    with serving(written(tmp_path / "config.yaml", {"server": {"port": port}, "models": models})) as gateway:
        assert gateway.port == port
        assert gateway.http.get(f"{gateway.url}/healthz").status_code == 200
        token = {"authorization": "Bearer of-the-client"}
        body = {"model": "gpt-4-proxy", "messages": USER, "an_unknown_field": [1]}
        answer = post(gateway, "/openai/v1/chat/completions", body, **token)
        assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Hi there")
        assert sent(upstream) == ("/v1/chat/completions", {"authorization": "Bearer sk-..."}, "gpt-4")
        assert upstream.requests[-1].json() == {**body, "model": "gpt-4"}

        messages = [{"role": "system", "content": "The old rules."}, *USER]
        answer = post(gateway, "/openai-compat/v1/chat/completions", {"model": "claude-via-openai", "messages": messages}, **token)
        assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "Hi there")
        assert sent(upstream) == ("/v1/messages", {"x-api-key": "sk-ant-..."}, "claude-3-5-sonnet-20241022")
        assert "The new rules." in json.dumps(upstream.requests[-1].json()["system"])
        assert "Be brief." in json.dumps(upstream.requests[-1].json()["system"])

        answer = post(gateway, "/own/v1/chat/completions", {"model": "gpt-4-proxy", "messages": USER}, **token)
        assert (answer.status_code, sent(upstream)) == (200, ("/v1/chat/completions", token, "gpt-4o"))


@pytest.fixture
def model_proxy(tmp_path, upstream):
    """The folder of a model-proxy."""
    written(
        tmp_path / "config/models/turbo.json",
        {
            "logical_name": "turbo",
            "timeout_seconds": 20,
            "default_cooldown_seconds": 10,
            "context_window": 131072,
            "model_routings": [{"provider": "cerebras", "model": "zai-glm-4.7"}],
            "fallback_model_routings": [],
        },
    )
    written(
        tmp_path / "config/providers/cerebras.json",
        {
            "name": "cerebras",
            "enabled": True,
            "api_keys": {"env_var_patterns": ["CEREBRAS_API_KEY", "CEREBRAS_API_KEY_{INDEX}"]},
            "endpoints": {"base_url": f"{upstream.url}/v1", "completions": "/chat/completions", "compatible_format": "openai"},
            "authentication": {"header_name": "Authorization", "header_format": "Bearer {api_key}"},
        },
    )
    written(tmp_path / ".env", f"CLIENT_API_KEY=of-all-clients\nCEREBRAS_API_KEY_1=csk-one\nPORT={free_port()}\n")
    return tmp_path


def test_model_proxy(model_proxy, upstream):
    upstream.otherwise(json_reply(CHAT))
    with serving(model_proxy) as gateway:
        assert f"PORT={gateway.port}" in (model_proxy / ".env").read_text()
        bearer = {"authorization": "Bearer of-all-clients"}
        listed = gateway.http.get(f"{gateway.url}/v1/models", headers=bearer).json()["data"]
        (turbo,) = [model for model in listed if model["id"] == "turbo"]
        assert (turbo["context_window"], turbo["context_length"], turbo["limit"]["context"]) == (131072, 131072, 131072)
        body = {"model": "turbo", "messages": USER}
        answer = post(gateway, "/v1/chat/completions", body, **bearer)
        assert (answer.status_code, answer.json()["model"]) == (200, "turbo")
        assert sent(upstream) == ("/v1/chat/completions", {"authorization": "Bearer csk-one"}, "zai-glm-4.7")
        assert post(gateway, "/v1/chat/completions", body).status_code == 401


def test_litellm(tmp_path, upstream):
    content = f"""
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o-2024
      api_base: {upstream.url}
      api_key: os.environ/MY_OPENAI_KEY
      rpm: 6
  - model_name: "claude-*"
    litellm_params:
      model: anthropic/claude-*
      api_base: {upstream.url}
      api_key: sk-ant
router_settings:
  model_group_alias: {{"gpt-4": "gpt-4o"}}
litellm_settings:
  drop_params: true
general_settings:
  master_key: sk-1234
"""
    upstream.otherwise(lambda request: json_reply(MESSAGE if request.path.endswith("/messages") else CHAT))
    with Gateway.started("--config", str(written(tmp_path / "config.yaml", content)), MY_OPENAI_KEY="sk-from-the-environment") as gateway:
        master = {"authorization": "Bearer sk-1234"}
        answer = post(gateway, "/v1/chat/completions", {"model": "gpt-4", "messages": USER}, **master)
        expected = ("/chat/completions", {"authorization": "Bearer sk-from-the-environment"}, "gpt-4o-2024")
        assert (answer.status_code, sent(upstream)) == (200, expected)
        answer = post(gateway, "/v1/messages", {"model": "claude-x", "max_tokens": 9, "messages": USER}, **master)
        assert (answer.status_code, sent(upstream)) == (200, ("/v1/messages", {"x-api-key": "sk-ant"}, "claude-x"))
        assert "model_list[0].litellm_params.rpm" in gateway.output


def test_claude_code_router(tmp_path, upstream):
    port = free_port()
    config = {
        "APIKEY": "your-secret-key",
        "PORT": port,
        "API_TIMEOUT_MS": 600000,
        "Providers": [
            {
                "name": "deepseek",
                "api_base_url": f"{upstream.url}/chat/completions",
                "api_key": "$MY_DEEPSEEK_KEY",
                "models": ["deepseek-chat", "deepseek-reasoner"],
                "transformer": {"use": ["deepseek"], "deepseek-chat": {"use": ["tooluse"]}},
            },
            {"name": "ollama", "api_base_url": f"{upstream.url}/v1/chat/completions", "api_key": "ollama", "models": ["qwen:latest"]},
        ],
        "Router": {"default": "deepseek,deepseek-chat", "background": "ollama,qwen:latest", "think": "deepseek,deepseek-reasoner"},
    }
    upstream.otherwise(json_reply(CHAT))
    with serving(written(tmp_path / "config.json", config), MY_DEEPSEEK_KEY="sk-deep") as gateway:
        assert gateway.port == port
        key = {"x-api-key": "your-secret-key"}
        called = []
        for name in ("claude-sonnet-4", "claude-3-5-haiku-x", "deepseek,deepseek-reasoner", "ollama/qwen:latest"):
            answer = post(gateway, "/v1/messages", {"model": name, "max_tokens": 9, "messages": USER}, **key)
            called.append((answer.status_code, *sent(upstream)))
        deepseek, ollama = {"authorization": "Bearer sk-deep"}, {"authorization": "Bearer ollama"}
        assert called == [
            (200, "/chat/completions", deepseek, "deepseek-chat"),
            (200, "/v1/chat/completions", ollama, "qwen:latest"),
            (200, "/chat/completions", deepseek, "deepseek-reasoner"),
            (200, "/v1/chat/completions", ollama, "qwen:latest"),
        ]


def test_pxbins_own_file_holds_settings(tmp_path):
    text = 'listen_addr: "127.0.0.1:1"\nlog_buffer_size: 5000\ncors_origins:\n  - "http://localhost:5173"\n'
    with Gateway.started("--config", str(written(tmp_path / "config.yaml", text))) as gateway:  # its own address is in the environment
        models = gateway.http.get(f"{gateway.url}/v1/models", headers={**gateway.client_headers, "origin": "http://localhost:5173"})
        assert models.headers["access-control-allow-origin"] == "http://localhost:5173"
