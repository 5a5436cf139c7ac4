"""The admin in a real browser: it looks as it should, and complains about nothing."""

import os
import re
from pathlib import Path

from tests.support.browser import open_page

PAGES = ("", "accounts/apikey/", "upstreams/upstream/", "upstreams/upstream/add/", "upstreams/model/", "billing/requestlog/")
ARTIFACTS = Path(__file__).resolve().parent / "artifacts"
"""Where screenshots are kept when PXBIN_TEST_ARTIFACTS is set."""


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


async def test_pages_of_the_admin_are_styled_and_without_errors(gateway):
    async with open_page() as page:
        await log_in(page, gateway)
        for path in PAGES:
            answer = await page.goto(f"{gateway.url}/admin/{path}")
            await keep(page, re.sub(r"\W+", "-", path).strip("-"))
            family = await page.evaluate("getComputedStyle(document.body).fontFamily")
            assert (path, answer.status, family.split(",")[0], page.problems) == (path, 200, "Inter", [])


async def test_the_login_page_refuses_a_wrong_password(gateway):
    async with open_page() as page:
        await page.goto(f"{gateway.url}/admin/login/")
        await page.fill("input[name=username]", gateway.admin_name)
        await page.fill("input[name=password]", "wrong")
        await page.click("button[type=submit]")
        assert "Please enter the correct" in await page.inner_text("body")
        await keep(page, "login")
