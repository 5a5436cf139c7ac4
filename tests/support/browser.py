"""A real Chromium: the system's where there is one, else the one inside the npm package `@sparticuz/chromium`."""

import ctypes.util
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import brotli
from playwright.async_api import Page, async_playwright

from tests.support.waiting import PATIENCE

SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NODE_MODULES = Path(__file__).resolve().parent.parent / "js" / "node_modules"
PACKED = NODE_MODULES / "@sparticuz" / "chromium" / "bin"
UNPACKED = NODE_MODULES / ".chromium"
# As root, and in most containers, Chromium cannot set up its sandbox; the tests visit our own pages only.
ARGUMENTS = ("--no-sandbox", "--no-zygote", "--disable-dev-shm-usage", "--font-render-hinting=none")
FONT_SETTINGS = "fonts.conf"
WINDOW = {"width": 1280, "height": 900}


def executable() -> Path:
    """Where Chromium is; the packed one is unpacked the first time."""
    for name in SYSTEM_NAMES:
        if path := shutil.which(name):
            return Path(path)
    if not UNPACKED.exists():
        _unpack()
    return UNPACKED / "chromium"


def _unpack() -> None:
    """Write the binary, its fonts and libraries beside each other. Of several processes the first one's work stays."""
    draft = Path(tempfile.mkdtemp(dir=NODE_MODULES, prefix=".chromium-draft-"))
    for packed in sorted(PACKED.glob("*.br")):
        content = brotli.decompress(packed.read_bytes())
        name = packed.name.removesuffix(".br")
        if name.endswith(".tar"):
            folder = draft if name.startswith("swiftshader") else draft / name.removesuffix(".tar")
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(folder, filter="data")
        else:
            (draft / name).write_bytes(content)
            (draft / name).chmod(0o755)
    folders = "".join(f"<dir>{folder}</dir>" for folder in (UNPACKED / "fonts", "/usr/share/fonts"))
    cache = f"<cachedir>{UNPACKED / 'font-cache'}</cachedir>"
    (draft / FONT_SETTINGS).write_text(f"<fontconfig>{folders}{cache}</fontconfig>\n", encoding="utf-8")
    try:
        draft.rename(UNPACKED)
    except OSError:
        if not UNPACKED.exists():
            raise
        shutil.rmtree(draft)


def environment() -> dict[str, str]:
    """What the packed binary needs to find its fonts and, where the system has none, its libraries."""
    variables = dict(os.environ)
    if UNPACKED.exists():
        variables["FONTCONFIG_FILE"] = str(UNPACKED / FONT_SETTINGS)
        if not ctypes.util.find_library("nss3"):
            variables["LD_LIBRARY_PATH"] = str(UNPACKED / "al2023" / "lib")
    return variables


@asynccontextmanager
async def open_page() -> AsyncIterator[Page]:
    """A new page in a browser of its own, closed afterwards. `page.problems` lists what its console complained about."""
    path = executable()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), env=environment(), headless=True)
        try:
            page = await browser.new_page(viewport=WINDOW)
            page.set_default_timeout(PATIENCE * 1000)
            page.problems = []
            page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            yield page
        finally:
            await browser.close()
