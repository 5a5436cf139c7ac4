"""The admin for everybody: axe on every page and form, the keyboard alone, landmarks, times in the browser's zone."""

import pytest

from tests.support.browser import NODE_MODULES, open_page
from tests.test_admin_pages import FORMS, PAGES, SECTIONS, log_in

pytestmark = pytest.mark.slow

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
SEVERE = ("serious", "critical")
UNREACHABLE = """() => [...document.querySelectorAll("[x-on\\\\:click]")].filter((element) =>
  element.checkVisibility() && element.tabIndex < 0 && !element.matches("label, form, nav, #changelist-filter-close")
).map((element) => element.outerHTML.slice(0, 120))"""
"""What a mouse can press and the keyboard cannot reach."""


async def severe_findings(page):
    """The rules that a page breaks seriously, each with the first element that does."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(f"{AXE.read_text(encoding='utf-8')};undefined")
    results = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(finding["id"], finding["nodes"][0]["html"][:120]) for finding in results["violations"] if finding["impact"] in SEVERE]


async def object_pages(gateway):
    """The paths of a page of every kind of object that the first start makes, and of a request."""
    body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    (row, *_) = gateway.logs(1)
    upstream, model, key = (gateway.api("GET", path)[0]["id"] for path in ("/upstreams", "/models", "/keys"))
    objects = {"upstreams/upstream": upstream, "upstreams/model": model, "accounts/apikey": key}
    pages = [f"{path}/{pk}/{page}/" for path, pk in objects.items() for page in ("change", "history", "delete")]
    return [*pages, f"billing/requestlog/{row['id']}/change/", "auth/user/1/change/", "auth/user/1/password/"]


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 390)])
async def test_axe_has_no_serious_finding_on_any_page_or_form(gateway, theme, width):
    async with open_page() as page:
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": width, "height": 900})
        await page.goto(f"{gateway.url}/admin/login/")
        assert await severe_findings(page) == []
        await log_in(page, gateway)
        for path in (*SECTIONS, *PAGES, *FORMS, "password_change/", *await object_pages(gateway)):
            await page.goto(f"{gateway.url}/admin/{path}")
            await page.wait_for_load_state("networkidle")
            landmarks = await page.locator("main").count(), await page.get_attribute("html", "lang")
            findings = await severe_findings(page), await page.evaluate(UNREACHABLE)
            assert (path, landmarks, *findings, page.problems) == (path, (1, "en"), [], [], [])


async def test_the_page_of_the_management_api_names_its_language_and_has_enough_contrast(gateway):
    async with open_page() as page:
        await page.goto(f"{gateway.url}/api/v1/docs")
        await page.get_by_text("/api/v1/presets").first.wait_for()
        findings = [rule for rule, _ in await severe_findings(page)]
        # Swagger UI puts links into buttons.
        assert ([rule for rule in findings if rule != "nested-interactive"], await page.get_attribute("html", "lang")) == ([], "en")


async def test_the_first_tab_stop_skips_to_the_content(gateway):
    async with open_page() as page:
        await log_in(page, gateway)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"


async def test_the_user_menu_the_sidebar_and_the_filters_open_by_keyboard(gateway):
    async with open_page() as page:
        await log_in(page, gateway)
        await page.goto(f"{gateway.url}/admin/upstreams/upstream/")
        await page.locator("#nav-sidebar button[aria-haspopup=menu]").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Change password").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Show or hide the sidebar").first.focus()
        await page.keyboard.press("Space")
        await page.wait_for_selector("#nav-sidebar", state="hidden")
        await page.get_by_role("button", name="Filters").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_function("document.querySelector('#changelist-filter').contains(document.activeElement)")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("#changelist-filter", state="hidden")
        await page.get_by_role("button", name="More actions").first.focus()
        await page.keyboard.press("Enter")
        menu = page.locator("nav[aria-label='Actions of the row']:visible")
        await menu.wait_for()
        assert await menu.count() == 1


async def test_times_are_in_the_zone_of_the_browser_with_utc_as_their_title(gateway):
    await object_pages(gateway)
    async with open_page() as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kathmandu"})
        await log_in(page, gateway)
        await page.goto(f"{gateway.url}/admin/billing/requestlog/")
        shown = page.locator("#result_list time").first
        local, utc, instant = await shown.inner_text(), await shown.get_attribute("title"), await shown.get_attribute("datetime")
        assert utc == instant.replace("T", " ").replace(".000Z", " UTC")
        assert await page.evaluate("([local, instant]) => new Date(local) - new Date(instant)", [local, instant]) == 0
        assert local != utc.removesuffix(" UTC")
