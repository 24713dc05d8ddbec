"""One Chromium for the session, and a page that holds the modules alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.page.chromium import LONELY, launched, serve_files


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A page in which `import("/static/….mjs")` gives the page's own modules."""
    context = await browser.new_context()
    await serve_files(context)
    page = await context.new_page()
    await page.goto(f"{LONELY}/empty")
    yield page
    await context.close()
