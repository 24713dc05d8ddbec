"""One Chromium for the session, and a page that holds the modules alone."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.page.chromium import LONELY, launched, serve_files
from tests.page.live import LiveServer, serving
from tests.page.visitor import PLAIN_NAME


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def talker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """A Chromium whose microphone hums 440 Hz, and whose person always allows it."""
    hum = tmp_path_factory.mktemp("microphone") / "hum.wav"
    write_hum(hum, 440.0)
    async with launched(
        [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={hum}",
        ]
    ) as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """One server for all visitors; each test has a room of its own."""
    async with serving(tmp_path_factory.mktemp("server"), ["--allow-host", PLAIN_NAME]) as server:
        yield server


def write_hum(path: Path, hertz: float) -> None:
    """Write four seconds of a sine at −12 dBFS, whole periods, for a browser to loop."""
    moments = np.arange(4 * 48_000) / 48_000
    samples = (32767 * 0.25 * np.sin(2 * np.pi * hertz * moments)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(samples.tobytes())
