"""A person at the browser page: what they do, and what they can see and hear there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, expect

PLAIN_NAME = "greenroom.test"  # no loopback address, so no secure context over plain http

# Kept from before the page's own scripts run: its peer connections and sockets, and what its policy refused.
WATCH = """
window.watched = { peers: [], sockets: [], violations: [] };
const [Peer, Socket] = [RTCPeerConnection, WebSocket];
window.RTCPeerConnection = class extends Peer {
  constructor(...options) { super(...options); watched.peers.push(this); }
};
window.WebSocket = class extends Socket {
  constructor(...options) { super(...options); watched.sockets.push(this); }
};
document.addEventListener("securitypolicyviolation", ({ violatedDirective, sourceFile }) =>
  watched.violations.push(`${violatedDirective} ${sourceFile}`));
"""

# The strongest frequency and the level of each slot that has sounded lately, by the number of whom it carries.
LISTEN = """async () => {
  const peer = watched.peers.at(-1);
  watched.context ??= new AudioContext();
  await watched.context.resume();
  const taps = peer.getReceivers().filter((receiver) => receiver.track.kind === "audio").map((receiver) => {
    if (!receiver.tap) {
      receiver.tap = watched.context.createAnalyser();
      receiver.tap.fftSize = 16384;
      watched.context.createMediaStreamSource(new MediaStream([receiver.track])).connect(receiver.tap);
    }
    return receiver;
  });
  const heard = {};
  for (const receiver of taps) {
    const [source] = receiver.getContributingSources();
    const bins = new Float32Array(receiver.tap.frequencyBinCount);
    receiver.tap.getFloatFrequencyData(bins);
    const peak = bins.indexOf(Math.max(...bins));
    if (source && bins[peak] > -60)
      heard[source.source] = { hz: peak * watched.context.sampleRate / receiver.tap.fftSize, db: bins[peak] };
  }
  return heard;
}"""


class Visitor:
    """One page in one browser context. `errors` are what went wrong in the page itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog opened: {dialog.message}"))

    async def come_in(self, address: str, cid: str, name: str, fragment: str = "") -> None:
        """Open the room's link, give a name, click Listen, and wait to be inside."""
        await self.page.goto(f"{address}/r/{cid}{fragment}")
        await self.page.get_by_label("Your name").fill(name)
        await self.page.get_by_role("button", name="Listen").click()
        await self.inside()

    async def inside(self) -> None:
        await expect(self.page.locator("body")).to_have_attribute("data-phase", "joined", timeout=10_000)

    async def status(self, words: str) -> None:
        """Wait until the status line says `words`."""
        await expect(self.page.locator("#status")).to_have_text(words, timeout=15_000)

    async def hears(self, number: int, near_hz: float) -> float:
        """Return the frequency at which `number` arrives, once it is within 4 Hz of `near_hz` (a bin has 3 Hz)."""
        hz = 0.0
        async with asyncio.timeout(10):
            while abs(hz - near_hz) > 4:
                heard: dict[str, dict[str, float]] = await self.page.evaluate(LISTEN)
                hz = heard.get(str(number), {}).get("hz", 0.0)
                await asyncio.sleep(0.1)
        return hz

    async def watched(self, expression: str) -> Any:
        """Return what `expression` over `watched` gives in the page."""
        return await self.page.evaluate(f"() => {expression}")

    async def until(self, expression: str) -> None:
        """Wait until `expression` over `watched` holds. Playwright's own waiting evaluates text: the policy forbids it."""
        async with asyncio.timeout(10):
            while True:
                if await self.watched(expression):
                    return
                await asyncio.sleep(0.05)

    async def assert_unharmed(self) -> None:
        """Nothing was refused by the page's own policy, and nothing went wrong in its scripts."""
        assert await self.watched("watched.violations") == []
        assert self.errors == []


@asynccontextmanager
async def visitor(browser: Browser, **options: Any) -> AsyncIterator[Visitor]:
    """Yield somebody with a browser of their own; `options` are a browser context's."""
    context = await browser.new_context(**options)
    await context.add_init_script(WATCH)
    try:
        yield Visitor(await context.new_page())
    finally:
        await context.close()
