"""Debian's Chromium, driven by Playwright: started once for all browser tests, and how its absence is answered."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Route, async_playwright

WEB = Path(__file__).parents[2] / "toolkit" / "greenroom" / "server" / "web"
KINDS = {".html": "text/html", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
LONELY = "http://127.0.0.1:9"  # nothing listens there; `serve_files` answers instead


def chromium_path() -> str:
    """Return where Chromium is. Without one the test is skipped, or fails where browsers are required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is not None:
        return found
    if os.environ.get("GREENROOM_REQUIRE_BROWSER") == "1":
        pytest.fail("Chromium is required here and missing: apt-get install chromium")
    pytest.skip("Chromium is missing")


@asynccontextmanager
async def launched(flags: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Yield a headless Chromium with `flags`, closed afterwards."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *flags])
        try:
            yield browser
        finally:
            await browser.close()


async def serve_files(context: BrowserContext) -> None:
    """Answer `LONELY` with the page's own files, for what needs its modules and no server."""

    async def answer(route: Route) -> None:
        file = WEB / Path(route.request.url).name
        if file.suffix in KINDS and file.is_file():
            await route.fulfill(body=file.read_bytes(), content_type=KINDS[file.suffix])
        else:
            await route.fulfill(body="<!doctype html><title>empty</title>", content_type="text/html")

    await context.route(f"{LONELY}/**", answer)
