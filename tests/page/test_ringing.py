"""Calls on the browser page: it is rung and rings, by a personal link and by one that calls somebody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from greenroom.backends.sfu import SfuBackend
from greenroom.engine.call_manager import CallManager
from greenroom.engine.client import Client
from greenroom.media.sources import Tone
from greenroom.protocol.call_types import DEFAULT, RingSettings
from greenroom.protocol.call_urls import MakeUrl, RevokeUrl, SignedUrl, UrlKind
from greenroom.protocol.ids import ADMIN, USER, Cid, UserId
from greenroom.protocol.requests import CancelRing, Join, RejectRing, StartRing
from greenroom.protocol.ringing import EndReason, RingAnswer, RingPhase
from greenroom.protocol.wire import Answer, PutCallType, RingChanged
from greenroom.server.call_urls import sign
from greenroom.server.serve import Server
from greenroom.server.tokens import load_keys
from greenroom.state.path import Way
from greenroom.storage.call_urls import StoredUrl, url_change
from tests.page.live import LiveServer
from tests.page.test_direct import engine_hears, goes, page_hears, the_guest
from tests.page.visitor import Visitor, visitor
from tests.server.guest import Guest, Visit, open_room, serving, token_for, visiting

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TONE_HZ = 1000.0
SCREENS: tuple[ViewportSize, ...] = ({"width": 360, "height": 740}, {"width": 1280, "height": 800})
HASTY = msgspec.structs.replace(
    DEFAULT,
    name="hasty",
    settings=msgspec.structs.replace(
        DEFAULT.settings, ring=RingSettings(incoming_seconds=0.6, auto_cancel_seconds=1.2)
    ),
)
# What the page's bell struck: kept from before the page's own scripts run.
STRUCK = """
window.struck = 0;
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.struck += 1; return start.apply(this, when); };
"""
# What has the focus, as a screen reader names it.
FOCUSED = """() => {
  const { activeElement: at } = document;
  return at.ariaLabel || at.labels?.[0]?.textContent.trim() || at.textContent.trim();
}"""
# Faults that a reader of the accessibility tree would meet; shown controls only.
FAULTS = """() => {
  const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("[aria-hidden=true]");
  const words = (ids) => ids.split(" ").map((id) => document.getElementById(id)?.textContent.trim() ?? "").join(" ").trim();
  const name = (one) => one.ariaLabel || words(one.getAttribute("aria-labelledby") ?? "") ||
    one.labels?.[0]?.textContent.trim() || one.textContent.trim();
  const faults = [];
  for (const one of document.querySelectorAll("button, input, summary, a, [role=group], section, ul[aria-label]"))
    if (shown(one) && !name(one)) faults.push(`${one.tagName} ${one.id} has no name`);
  for (const one of document.querySelectorAll("button"))
    if (shown(one) && (one.offsetWidth < 40 || one.offsetHeight < 40)) faults.push(`${name(one)} is too small for a thumb`);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`two are called ${id}`);
  for (const one of document.querySelectorAll("[tabindex]")) if (one.tabIndex > 0) faults.push(`${one.id} jumps the queue`);
  if (document.querySelectorAll("main").length !== 1) faults.push("there is not one main part");
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page is wider than the screen");
  return faults;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, Path]]:
    """A server in this process, without sound, for what is only said and shown; and where it keeps what it knows."""
    data = tmp_path_factory.mktemp("house")
    async with serving(data) as server, visiting(server.url) as visit:
        root = await visit.enter(token_for(data, "root", role=ADMIN))
        assert isinstance(await root.ask(PutCallType(HASTY)), Answer)
        yield server, data


class Scene:
    """Ann, a plain client, and Bo with a browser, on the server without sound."""

    def __init__(self, visit: Visit, data: Path, ann: Guest, bo: Visitor) -> None:
        self.visit = visit
        self.data = data
        self.ann = ann
        self.bo = bo
        self.bo_id = UserId(f"bo-{token_hex(4)}")

    @property
    def page(self) -> Page:
        return self.bo.page

    async def enter(self, name: str) -> Guest:
        return await self.visit.enter(token_for(self.data, name))

    async def wait_for_calls(self) -> None:
        """Bo opens a personal link that leads to no room."""
        await self.page.goto(f"{self.visit.url}/#token={token_for(self.data, self.bo_id)}")
        assert self.page.url == f"{self.visit.url}/"
        await self.page.get_by_role("button", name="Wait for calls").click()
        await self.left("You can be called here.")

    async def call_link(self, to: Guest, cid: Cid | None = None) -> SignedUrl:
        answer = await to.ask(MakeUrl(UrlKind.CALL, cid, to.welcome.user))
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, SignedUrl)
        return answer.body

    async def call_by(self, url: SignedUrl) -> None:
        await self.page.goto(url.address(self.visit.url))
        await self.page.wait_for_url(f"{self.visit.url}/call")
        await self.page.get_by_label("Your name").fill("Bo")
        await self.page.get_by_role("button", name="Call", exact=True).click()

    async def left(self, words: str) -> None:
        """Wait until the page says so, outside of any room."""
        await expect(self.page.locator("#gone-words")).to_have_text(words, timeout=8_000)

    def incoming(self) -> Locator:
        return self.page.get_by_role("list", name="Incoming calls").get_by_role("listitem")


@asynccontextmanager
async def scene(talker: Browser, house: tuple[Server, Path], **options: object) -> AsyncIterator[Scene]:
    server, data = house
    async with visiting(server.url) as visit, visitor(talker, **options) as bo:
        await bo.page.add_init_script(STRUCK)
        ann = await visit.enter(token_for(data, f"ann-{token_hex(4)}"))
        yield Scene(visit, data, ann, bo)
        await bo.assert_unharmed()


async def struck(page: Page, more_than: int = 0) -> int:
    """Return how many notes the bell struck, once they are more."""
    async with asyncio.timeout(8):
        while (notes := int(await page.evaluate("() => struck"))) <= more_than:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return notes


# ---- with sound


@pytest.mark.live
async def test_an_engine_calls_a_person_on_the_page_and_they_talk_directly(
    talker: Browser, server: LiveServer
) -> None:
    room, bo_id = f"audio_room:live-{token_hex(4)}", f"bo-{token_hex(4)}"
    host = SfuBackend(server.url, token=await server.host("Olga"))
    anns = SfuBackend(server.url, token=await server.host())
    async with (
        Client(backend=host) as olga,
        Client(backend=anns, source=Tone(TONE_HZ, -20.0)) as ann,
        CallManager(ann) as manager,
        visitor(talker) as bo,
    ):
        lecture = await olga.join(room, create=True, title="Lecture")
        await lecture.go_live()
        await bo.page.goto(f"{server.url}/r/{room}#token={await server.token(bo_id, 'Bo')}")
        await bo.page.get_by_role("button", name="Listen").click()
        await bo.inside()
        placed = await manager.initiate_p2p(bo_id, title="Weekly")
        banner = bo.page.get_by_role("group", name="Ann calls you: Weekly")
        await expect(banner).to_be_visible()
        await expect(bo.page.locator("#calls")).to_contain_text("Accepting leaves Lecture.")
        await bo.page.keyboard.press("Alt+Shift+KeyA")
        await expect(bo.page.get_by_role("heading", name="Weekly")).to_be_visible()
        await bo.status("You hear each other directly.")
        await expect(bo.page.locator("#way")).to_have_text("direct")
        call = ann.call(placed.ring.cid)
        assert (await goes(call, Way.DIRECT)).path.way is Way.DIRECT
        await page_hears(bo, TONE_HZ)
        await engine_hears(call, UserId(bo_id))
        assert lecture.state.value.room is not None
        assert bo_id not in lecture.state.value.room.participants, "one room at a time"
        await manager.end(placed)
        await expect(bo.page.locator("#gone-words")).to_contain_text("call ended")
        await bo.page.get_by_role("button", name="Back to Lecture").click()
        await bo.inside()
        await bo.status("You hear the room.")
        await bo.assert_unharmed()


@pytest.mark.live
async def test_a_link_calls_an_engine_and_both_are_heard_until_somebody_hangs_up(
    talker: Browser, server: LiveServer
) -> None:
    backend = SfuBackend(server.url, token=await server.host())
    async with Client(backend=backend, source=Tone(TONE_HZ, -20.0)) as ann, visitor(talker) as bo:
        address = await ann.call_url(str(ann.state.value.user))
        await bo.page.goto(address)
        await bo.page.get_by_label("Your name").fill("Bo")
        await bo.page.get_by_role("button", name="Call", exact=True).click()
        await expect(bo.page.get_by_role("heading", name="Calling Ann…")).to_be_visible()
        ring = (await ann.incoming_calls.until(bool, 10.0))[0]
        await ann.accept(ring)
        call = await ann.join(ring.cid, microphone=True)
        await bo.inside()
        await expect(bo.page.get_by_role("heading", name="Call with Ann")).to_be_visible()
        await bo.status("You hear the room, and it hears you.")
        myself = call.state.value.myself
        assert myself is not None
        await bo.hears(myself.number, TONE_HZ)
        await engine_hears(call, await the_guest(call))
        await bo.page.get_by_role("button", name="Hang up").click()
        await expect(bo.page.locator("#gone-words")).to_have_text("You hung up.")
        await ann.incoming_calls.until(lambda rings: not rings, 5.0)
        assert not await bo.watched(
            "watched.peers.some(({ connectionState }) => connectionState !== 'closed')"
        )
        await bo.page.reload()
        await expect(bo.page.locator("#gone-words")).to_contain_text("This link calls nobody any more.")
        assert not ann.incoming_calls.value, "a link that was used places no second call"
        await bo.assert_unharmed()


# ---- being called


async def test_several_calls_ring_at_once_and_each_can_be_answered(
    talker: Browser, house: tuple[Server, Path]
) -> None:
    async with scene(talker, house) as on:
        cy = await on.enter("cy")
        await on.wait_for_calls()
        first, second = Cid(f"default:{token_hex(4)}"), Cid(f"default:{token_hex(4)}")
        await on.ann.done(StartRing((on.bo_id,), title="Plan"), cid=first)
        await cy.done(StartRing((on.bo_id, UserId("dee"))), cid=second)
        await expect(on.incoming()).to_have_count(2)
        await expect(on.page.locator("#say-now")).to_contain_text(
            "calls you: Plan. Accept with Alt, Shift and A"
        )
        await expect(on.incoming().nth(1)).to_contain_text("With dee.")

        notes = await struck(on.page)
        await on.page.get_by_role("button", name="Silence the ringing").first.click()
        for button in await on.page.get_by_role("button", name="Silence the ringing").all():
            await expect(button).to_have_attribute("aria-pressed", "true")
        bell_period = asyncio.create_task(asyncio.sleep(3.2))

        for size in SCREENS:
            await on.page.set_viewport_size(size)
            assert await on.page.evaluate(FAULTS) == []
        await on.page.locator(".skip").focus()
        order: list[str] = []
        for _ in range(7):
            await on.page.keyboard.press("Tab")
            order.append(await on.page.evaluate(FOCUSED))
        ann = f"Ann-{on.ann.welcome.user[4:]}".title()
        silence = "Silence the ringing"
        assert [word.casefold() for word in order] == [
            word.casefold()
            for word in (
                f"Accept the call from {ann}",
                f"Decline the call from {ann}",
                silence,
                "Accept the call from Cy",
                "Decline the call from Cy",
                silence,
                "Call somebody",
            )
        ]
        await bell_period
        assert await on.page.evaluate("() => struck") == notes, "what is silenced rings without a sound"

        await on.page.get_by_role("button", name="Decline the call from Cy").click()
        await cy.hears(RingChanged, lambda change: _answer(change, on.bo_id) is RingAnswer.DECLINED)
        await expect(on.incoming()).to_have_count(1)
        await on.page.get_by_role("button", name="Accept the call from Ann").press("Enter")
        await on.ann.hears(RingChanged, lambda change: _answer(change, on.bo_id) is RingAnswer.ACCEPTED)
        await on.bo.inside()
        await expect(on.incoming()).to_have_count(0)
        await expect(on.page.locator("#calls")).to_be_hidden()


async def test_a_missed_call_can_be_returned_and_who_calls_while_being_called_is_in_one_call(
    talker: Browser, house: tuple[Server, Path]
) -> None:
    async with scene(talker, house) as on:
        await on.wait_for_calls()
        await on.ann.done(StartRing((on.bo_id,)), cid=(cid := Cid(f"default:{token_hex(4)}")))
        await expect(on.incoming()).to_have_count(1)
        await struck(on.page)
        await on.ann.done(CancelRing(), cid=cid)
        await expect(on.incoming()).to_have_count(0)
        missed = on.page.get_by_role("list", name="Missed calls").get_by_role("listitem")
        await expect(missed).to_have_count(1)
        await expect(on.page.locator("#say-soon")).to_contain_text("Missed call from Ann")

        await on.page.get_by_role("button", name="back").click()
        await expect(missed).to_have_count(0)
        await on.ann.hears(RingChanged, lambda change: change.ring.by == on.bo_id)
        await on.page.get_by_role("button", name="Hang up").click()
        await on.left("You hung up.")
        await on.ann.hears(RingChanged, lambda change: change.ring.outcome is EndReason.CANCELLED)

        whom = on.page.get_by_label("Call somebody")
        await whom.fill("nobody-at-all")
        await whom.press("Enter")
        await expect(on.page.locator("#calling-people")).to_contain_text(
            "is not connected; rings as soon as they are"
        )
        await on.page.get_by_role("button", name="Hang up").click()
        await on.left("You hung up.")
        await on.ann.done(StartRing((on.bo_id,)), cid=(cid := Cid(f"default:{token_hex(4)}")))
        await expect(on.incoming()).to_have_count(1)
        await whom.fill(on.ann.welcome.user)
        await whom.press("Enter")
        await on.bo.inside()
        await on.ann.done(Join(), cid=cid)
        await on.ann.hears(RingChanged, lambda change: change.ring.phase is RingPhase.CONNECTED)
        assert on.ann.all(RingChanged)[-1].ring.cid == cid


async def test_more_people_are_called_into_a_room_and_that_is_taken_back(
    talker: Browser, house: tuple[Server, Path]
) -> None:
    async with scene(talker, house) as on:
        cid = Cid(f"default:{token_hex(4)}")
        await open_room(on.ann, cid, "Office")
        cy = await on.enter(f"cy-{token_hex(4)}")
        await on.page.goto(f"{on.visit.url}/r/{cid}#token={token_for(on.data, on.bo_id)}")
        await on.page.get_by_role("button", name="Listen").click()
        await on.bo.inside()
        await on.page.get_by_text("Call somebody in").click()
        await on.page.get_by_label("Whom to call in").fill(cy.welcome.user)
        await on.page.keyboard.press("Enter")
        await cy.hears(RingChanged, lambda change: change.ring.by == on.bo_id)
        await on.page.get_by_role("button", name="Cancel: calling").click()
        await cy.hears(RingChanged, lambda change: change.ring.outcome is EndReason.CANCELLED)
        await expect(on.page.locator("#calls")).to_be_hidden()


# ---- what a link that calls says


async def test_a_call_by_a_link_says_when_nobody_answers_and_when_nobody_is_there(
    talker: Browser, house: tuple[Server, Path]
) -> None:
    async with scene(talker, house) as on:
        silent = await on.call_link(on.ann, Cid(f"hasty:{token_hex(4)}"))
        gone = await on.call_link(on.ann, Cid(f"hasty:{token_hex(4)}"))
        await on.call_by(silent)
        await on.left(f"{on.ann.welcome.name} did not answer.")
        await on.ann.close()
        await on.call_by(gone)
        people = on.page.locator("#calling-people")
        await expect(people).to_contain_text("is not connected; rings as soon as they are")
        await on.left(f"{on.ann.welcome.name} is not connected.")


async def test_a_link_says_why_it_calls_nobody_and_what_became_of_its_call(
    talker: Browser, house: tuple[Server, Path]
) -> None:
    server, data = house
    async with scene(talker, house) as on, visitor(talker) as cy:
        used = await on.call_link(on.ann)
        await on.call_by(used)
        ring = (await on.ann.hears(RingChanged)).ring
        for size in SCREENS:
            await on.page.set_viewport_size(size)
            assert await on.page.evaluate(FAULTS) == []
        other = Scene(on.visit, data, on.ann, cy)
        await other.call_by(used)
        await other.left("That link was used already; ask for a new one.")

        revoked = await on.call_link(on.ann)
        assert isinstance(await on.ann.ask(RevokeUrl(revoked.info.id)), Answer)
        await other.call_by(revoked)
        await other.left("That link was taken back; ask for a new one.")

        info = msgspec.structs.replace(
            used.info, id=token_hex(8), expires_at=float(int(time.time()) - 1), used=0
        )
        assert server._house is not None
        await server._house.writer.commit((url_change(StoredUrl(info, USER)),))
        keys = load_keys(data / "secret")
        await other.call_by(SignedUrl(info, "/call", sign(keys, info)))
        await other.left("That link has expired; ask for a new one.")

        await other.call_by(SignedUrl(info, "/call", sign(keys, info)[:-2] + "xx"))
        await other.left("That link is not valid here; ask for a new one.")
        assert {change.ring.id for change in on.ann.all(RingChanged)} == {ring.id}, (
            "the first of them rings alone"
        )

        words = f"{on.ann.welcome.name} declined: in a meeting."
        await on.ann.done(RejectRing("in a meeting"), cid=ring.cid)
        await on.left(words)
        assert await on.page.evaluate(FOCUSED) == words
        await expect(on.page.get_by_role("button", name="Join again")).to_be_hidden()

        await on.ann.done(StartRing((ring.by,)), cid=ring.cid)  # back, a while later
        await on.page.get_by_role("button", name="Accept").click()
        await on.bo.inside()
        await expect(on.page.get_by_role("heading", name=f"Call with {on.ann.welcome.name}")).to_be_visible()
        await cy.assert_unharmed()


async def test_a_link_calls_without_a_microphone_only_when_asked_again(
    browser: Browser, house: tuple[Server, Path]
) -> None:
    async with scene(browser, house) as on:
        await on.call_by(await on.call_link(on.ann))
        await expect(on.page.get_by_role("alert")).to_contain_text("Call again to go on without it")
        assert not on.ann.all(RingChanged), "nobody is rung by somebody they could not hear"
        await on.page.get_by_role("button", name="Call", exact=True).click()
        await on.ann.hears(RingChanged)
        await expect(on.page.get_by_role("heading", name=f"Calling {on.ann.welcome.name}…")).to_be_visible()


def _answer(change: RingChanged, user: UserId) -> RingAnswer | None:
    rung = change.ring.of(user)
    return None if rung is None else rung.answer
