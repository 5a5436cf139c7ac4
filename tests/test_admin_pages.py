"""The admin in a real browser: what a person sees and does there, and that its console complains about nothing."""

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.support.browser import open_page
from tests.support.fake_upstream import json_reply
from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE, eventually_async

pytestmark = pytest.mark.slow

PAGES = ("usage/", "connect/", "changes/", "sessions/", "simulator/", "jobs/", "config/")
"""Pages that belong to no table."""
SECTIONS = (
    "", "accounts/apikey/", "accounts/owner/", "accounts/managementkey/", "upstreams/upstream/", "upstreams/model/", "upstreams/route/",
    "upstreams/upstreamcredential/", "billing/requestlog/", "billing/requestpayload/", "billing/price/",
    "auth/user/", "auth/group/",
)  # fmt: skip
FORMS = tuple(f"{section}add/" for section in SECTIONS if section and "request" not in section)
SIDEBAR = [
    "Start", "Usage", "Connect a client", "API keys", "Upstreams", "Models", "Requests", "Sessions", "Prices", "Budgets",
    "Credentials", "Routes", "Routing simulator", "Change log", "Jobs", "Redaction rules", "Alert channels", "Alerts sent",
    "Owners", "Pools", "Defaults for new keys", "Management keys", "Users", "Groups", "Import and export",
]  # fmt: skip
ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
"""Where screenshots are kept when PXBIN_TEST_ARTIFACTS is set."""
NAMELESS = """() => [...document.querySelectorAll("#content input, #content select, #content textarea, #content button")].filter((field) =>
  field.type !== "hidden" && field.offsetParent !== null && !(field.labels && field.labels.length) && !field.ariaLabel
  && !field.getAttribute("aria-labelledby") && !field.placeholder && !field.title && !field.textContent.trim()
).map((field) => field.name || field.outerHTML)"""
"""The fields that a person can see and a screen reader cannot name."""


async def log_in(page, gateway):
    await page.goto(f"{gateway.url}/")
    await page.fill("input[name=username]", gateway.admin_name)
    await page.fill("input[name=password]", gateway.admin_password)
    await page.click("button[type=submit]")
    await page.wait_for_url(f"{gateway.url}/admin/")


async def keep(page, name):
    if os.environ.get("PXBIN_TEST_ARTIFACTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / f"{name or 'index'}.png")


async def save(page):
    await page.click("button[name=_save]")
    await page.wait_for_load_state()


async def ask(gateway, key, model):
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.post(f"{gateway.url}/v1/messages", headers={"x-api-key": key}, json=body)).status_code


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
async def test_every_page_is_styled_fits_its_window_and_names_its_fields(gateway, theme, width):
    async with open_page() as page:
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 900})
        await log_in(page, gateway)
        for path in (*SECTIONS, *PAGES, *FORMS):
            answer = await page.goto(f"{gateway.url}/admin/{path}")
            await keep(page, f"{theme}-{re.sub(r'[^a-z]+', '-', path).strip('-') or 'start'}")
            family = await page.evaluate("getComputedStyle(document.body).fontFamily")
            wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            nameless = await page.evaluate(NAMELESS)
            assert (path, answer.status, family.split(",")[0], wider, nameless, page.problems) == (path, 200, "Inter", 0, [], [])


async def test_the_page_of_the_management_api_lists_its_operations(gateway):
    async with open_page() as page:
        await page.goto(f"{gateway.url}/api/v1/docs")
        await page.get_by_text("/api/v1/keys/{key_id}").first.wait_for()
        await page.get_by_text("/api/v1/presets").first.click()
        await page.wait_for_selector("text=Parameters")
        assert page.problems == []


async def test_a_script_that_gets_into_a_page_does_not_run(gateway):
    async with open_page() as page:
        await log_in(page, gateway)
        markup = "<img src=x onerror='document.title=1'><script>document.title=1</script><a id=run href='javascript:document.title=1'>x</a>"
        await page.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", markup)
        await page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title=1'}))")
        await page.evaluate("document.querySelector('#run').click()")
        await eventually_async(lambda: len([text for text in page.problems if "Content Security Policy" in text]) >= 3)
        assert await page.title() != "1"


@pytest.fixture
def new_gateway():
    """A gateway whose first steps are still to be done."""
    with Gateway.started() as running:
        yield running


async def test_the_sidebar_lists_the_pages_in_the_order_of_the_setup(new_gateway):
    async with open_page() as page:
        await log_in(page, new_gateway)
        assert await page.locator("#nav-sidebar-apps a span:last-of-type").all_inner_texts() == SIDEBAR
        titles = await page.locator("ol.pxbin-stack h3").all_inner_texts()
        assert [title.split(". ")[1].split("  ")[0][:12] for title in titles] == [
            "Create an AP",
            "Connect an u",
            "Import its m",
            "Send a reque",
        ]
        assert await page.inner_text("#gateway-url") == new_gateway.url
        await page.type("#nav-filter", "nothing of the kind")
        await page.wait_for_selector("text=No page with this name.")
        assert page.problems == []


async def test_the_login_page_refuses_a_wrong_password(gateway):
    async with open_page() as page:
        await page.goto(f"{gateway.url}/admin/login/")
        await page.fill("input[name=username]", gateway.admin_name)
        await page.fill("input[name=password]", "wrong")
        await page.click("button[type=submit]")
        assert [text[:24] for text in await page.locator(".errornote:visible").all_inner_texts()] == ["Please enter the correct"]
        await page.fill("input[name=password]", gateway.admin_password)
        await page.click("button[type=submit]")
        await page.wait_for_url(f"{gateway.url}/admin/")


async def test_a_new_key_is_shown_and_copied_once(gateway):
    async with open_page() as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gateway.url)
        await log_in(page, gateway)
        await page.goto(f"{gateway.url}/admin/accounts/apikey/add/")
        await page.fill("#id_name", "browser's key")
        assert await page.is_hidden("#id_allowed_models")
        await page.click("text=The models listed below")
        await page.fill("#id_allowed_models", "echo*")
        await save(page)
        key = await page.inner_text("#issued-key")
        await page.click("[data-copy=issued-key]")
        await page.wait_for_selector("text=Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == key
        assert f"export ANTHROPIC_AUTH_TOKEN={key}" in await page.inner_text("#claude-code")
        await page.reload()
        assert (key in await page.content(), page.problems) == (False, [])
    assert await ask(gateway, key, "echo") == 200


async def test_a_user_adds_an_upstream_and_finds_a_request_in_the_log(gateway, upstream):
    chat = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    ], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}  # fmt: skip
    listed = {"data": [{"id": "by-hand-model", "context_length": 1000}, {"id": "other-model"}]}
    upstream.otherwise(lambda request: json_reply(listed if request.path.endswith("/models") else chat))
    async with open_page() as page:
        await log_in(page, gateway)
        await page.goto(f"{gateway.url}/admin/upstreams/upstream/add/")
        await page.select_option("#id_preset", "vllm")
        assert await page.get_attribute("#id_base_url", "placeholder") == "http://{host}:8000/v1"
        await page.select_option("#id_preset", "")
        await page.fill("#id_name", "by hand")
        await save(page)
        assert "An upstream needs a base URL" in await page.inner_text("fieldset >> nth=0")
        await page.fill("#id_base_url", f"{upstream.url}/v1")
        await page.fill("#id_credentials-0-secret", "sk-typed-by-hand")
        await save(page)
        assert "Next: import its models." in await page.inner_text("body")
        await page.click("text=Test connection")
        await page.wait_for_selector("text=by hand is healthy: 2 models listed")
        await page.click("text=Import models")
        await page.wait_for_url("**/import-models/")
        await page.fill("[data-finds=new-names]", "by-hand")
        await page.check("#every-name")
        await page.click("text=Import selected")
        await page.wait_for_selector("text=1 model imported.")
        assert "sk-typed-by-hand" not in await page.content()
        assert await ask(gateway, gateway.client_key, "by-hand-model") == 200
        gateway.logs(1, model="by-hand-model")
        await page.goto(f"{gateway.url}/admin/billing/requestlog/?q=by-hand")
        row = await page.inner_text("#result_list tbody tr")
        assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", row)
        for text in ("FINISHED 200", "by-hand-model", "Messages → Chat", "by hand", "12 → 3", "unknown"):
            assert text in row, text
        await page.click("#result_list .field-began a")
        await page.wait_for_selector("text=by hand answered at the first attempt.")
        assert (await page.locator("section[aria-label=Attempts] tbody").count(), page.problems) == (1, [])
