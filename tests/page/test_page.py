"""A person with a browser and a link listens, asks to speak, speaks, writes, and is never a way in for others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from greenroom.media.sources import Tone
from greenroom.protocol import wire
from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    GetOrCreate,
    GoLive,
    GrantHand,
    InviteToStage,
    Join,
    Kick,
    Mute,
    PostMessage,
    Revoke,
    SetMicrophone,
)
from greenroom.protocol.room import Participant, Room
from tests.page.chromium import launched
from tests.page.live import LiveServer
from tests.page.person import Person, joined
from tests.page.visitor import PLAIN_NAME, Visitor, visitor

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

TONE_HZ = 1000.0
MICROPHONE_HZ = 440.0  # what the browser's microphone hums: `conftest.talker`
# From now on no connection to the server comes about.
UNREACHABLE = """() => {
  watched.reachable = WebSocket;
  window.WebSocket = class {
    constructor() { setTimeout(() => this.onclose({ code: 1006 })); }
    close() {}
  };
}"""
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "<a href=javascript:alert(1)>x</a>",
    "</textarea><style>*{display:none}</style>",
]


def new_cid() -> str:
    return f"audio_room:live-{token_hex(4)}"


def called(room: Room, name: str) -> Participant | None:
    return next((person for person in room.participants.values() if person.name == name), None)


async def seen(host: Person, name: str) -> Participant:
    """Return the participant called `name`, once the host sees them."""
    room = await host.until(lambda room: called(room, name) is not None)
    person = called(room, name)
    assert person is not None
    return person


async def test_a_listener_hears_who_speaks_and_sees_it(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, source=Tone(TONE_HZ, -20.0)) as ann,
        visitor(browser) as maria,
    ):
        await ann.do(SetMicrophone(on=True))
        await maria.come_in(server.url, cid, "Maria")
        number = ann.room.participants[ann.user].number
        assert await maria.hears(number, TONE_HZ) == pytest.approx(TONE_HZ, abs=5)
        await maria.status("You hear the room.")
        speaker = maria.page.locator("#speakers li", has_text="Ann")
        await expect(speaker.locator(".words")).to_have_text("speaking")
        level = "item => Number(getComputedStyle(item.firstElementChild).getPropertyValue('--level'))"
        assert await speaker.evaluate(level) > 0.5
        await ann.do(SetMicrophone(on=False))
        await expect(speaker.locator(".words")).to_have_text("muted")
        await maria.assert_unharmed()


async def test_a_raised_hand_is_granted_and_the_speaker_heard_until_muted(
    talker: Browser, server: LiveServer
) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid) as ann,
        visitor(talker) as bo,
    ):
        await bo.come_in(server.url, cid, "Bo")
        speaker = await seen(ann, "Bo")
        assert not await microphone_captured(bo)
        await bo.page.get_by_role("button", name="Raise hand").click()
        await expect(bo.page.locator("#main-words")).to_have_text("Your hand is up. You are next.")
        await ann.until(lambda room: len(room.hands) == 1)

        await ann.do(GrantHand(speaker.user))
        await expect(bo.page.locator("#say-now")).to_contain_text("It is your turn")
        assert not await microphone_captured(bo)
        await bo.page.get_by_role("button", name="Open microphone").click()
        hertz, level = await ann.hears(speaker.number)
        assert hertz == pytest.approx(MICROPHONE_HZ, abs=2)
        assert -30 < level < -5
        await expect(bo.page.locator("#main-words")).to_have_text("You are heard.")

        await ann.do(Mute(speaker.user))
        await expect(bo.page.locator("#notices")).to_contain_text(
            "Ann muted you. You can open your microphone again."
        )
        await expect(bo.page.get_by_role("button", name="Open microphone")).to_be_visible()
        assert not await microphone_captured(bo)

        await bo.page.get_by_role("button", name="Open microphone").click()
        await ann.until(lambda room: room.participants[speaker.user].microphone)
        await ann.do(Revoke(speaker.user, frozenset({Capability.SEND_AUDIO})))
        await expect(bo.page.get_by_role("button", name="Raise hand")).to_be_visible()
        assert not await microphone_captured(bo)
        await bo.assert_unharmed()


async def test_an_invitation_can_be_accepted_or_declined(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as cy,
    ):
        await cy.come_in(server.url, cid, "Cy")
        guest = await seen(ann, "Cy")
        await ann.do(InviteToStage(guest.user))
        await expect(cy.page.locator("#say-now")).to_contain_text("Ann invites you to speak")
        await cy.page.get_by_role("button", name="Decline").click()
        await ann.until(lambda room: not room.invitations)
        await expect(cy.page.locator("#invitation")).to_be_hidden()
        await ann.do(InviteToStage(guest.user))
        await cy.page.get_by_role("button", name="Accept").click()
        await expect(cy.page.get_by_role("button", name="Open microphone")).to_be_visible()
        await expect(cy.page.locator("#speakers")).to_contain_text("Cy")
        await cy.assert_unharmed()


async def test_a_microphone_that_cannot_be_had_is_explained(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as ned,
    ):
        await ned.come_in(server.url, cid, "Ned")
        await ann.do(InviteToStage((await seen(ann, "Ned")).user))
        await ned.page.get_by_role("button", name="Accept").click()
        await ned.page.get_by_role("button", name="Open microphone").click()
        why = re.compile("may not use the microphone|No microphone was found")
        await expect(ned.page.locator("#notices")).to_contain_text(why)
        await expect(ned.page.locator("#say-now")).to_contain_text(why)
        await expect(ned.page.get_by_role("button", name="Open microphone")).to_be_visible()
        assert not (await seen(ann, "Ned")).microphone
        await ned.assert_unharmed()


async def test_a_page_that_is_loaded_again_is_the_same_person(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as ola,
    ):
        await ola.come_in(server.url, cid, "Ola")
        before = await seen(ann, "Ola")
        await ann.do(InviteToStage(before.user))
        await ola.page.get_by_role("button", name="Accept").click()
        await expect(ola.page.get_by_role("button", name="Open microphone")).to_be_visible()
        await ola.page.reload()
        await ola.inside()
        await expect(ola.page.get_by_role("button", name="Open microphone")).to_be_visible()
        await ann.until(lambda room: (person := called(room, "Ola")) is not None and person.connected)
        assert [person.user for person in ann.room.participants.values() if person.name == "Ola"] == [
            before.user
        ]
        await ola.page.get_by_role("button", name="Leave").click()
        await expect(ola.page.get_by_role("button", name="Join again")).to_be_visible()
        await ola.page.evaluate("localStorage.clear()")
        await ola.page.reload()
        await expect(ola.page.get_by_label("Your name")).to_have_value("Ola")
        await ola.assert_unharmed()


# A scroll is told to the page with the next frame.
SCROLL_BACK = """(list) => new Promise(told => {
  list.scrollTo(0, 0);
  requestAnimationFrame(() => requestAnimationFrame(told));
})"""


async def test_the_newest_message_is_in_sight_from_the_start(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser, viewport={"width": 900, "height": 600}) as uma,
    ):
        for number in range(30):
            await ann.do(PostMessage(f"message {number}."))
        await uma.come_in(server.url, cid, "Uma")
        newest = uma.page.get_by_role("log").get_by_text("message 29.")
        await expect(newest).to_be_in_viewport(ratio=1)
        await uma.page.set_viewport_size({"width": 900, "height": 450})
        await ann.do(PostMessage("message 30."))
        await expect(uma.page.get_by_role("log").get_by_text("message 30.")).to_be_in_viewport(ratio=1)
        await uma.page.get_by_role("log").evaluate(SCROLL_BACK)
        await ann.do(PostMessage("message 31."))
        await expect(uma.page.get_by_role("log")).to_contain_text("message 31.")
        await expect(uma.page.get_by_role("log").get_by_text("message 31.")).not_to_be_in_viewport()
        await uma.assert_unharmed()


async def test_everything_works_from_the_keyboard(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as di,
    ):
        page = di.page
        await page.goto(f"{server.url}/r/{cid}")
        await tab_to(page, "name")
        await page.keyboard.type("Di")
        await page.keyboard.press("Enter")
        await di.inside()
        await tab_to(page, "main-action")
        await page.keyboard.press("Enter")
        await ann.until(lambda room: len(room.hands) == 1)
        await expect(page.get_by_role("button", name="Lower hand")).to_be_focused()
        await page.keyboard.press("Space")
        await ann.until(lambda room: not room.hands)
        await tab_to(page, "message")
        await page.keyboard.type("Hello from the keyboard")
        await page.keyboard.press("Enter")
        await ann.until(lambda room: [line.text for line in room.chat] == ["Hello from the keyboard"])
        await tab_to(page, "leave")
        await page.keyboard.press("Enter")
        await ann.until(lambda room: called(room, "Di") is None)
        await expect(page.locator("#gone-words")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await di.inside()
        await seen(ann, "Di")
        await di.assert_unharmed()


async def test_chat_and_reactions_go_both_ways(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as eve,
    ):
        await eve.come_in(server.url, cid, "Eve")
        await ann.do(PostMessage("Welcome, Eve"))
        await expect(eve.page.get_by_role("log")).to_contain_text("Welcome, Eve")
        await eve.page.get_by_label("Message", exact=True).fill("Glad to be here")
        await eve.page.get_by_role("button", name="Send message").click()
        await ann.until(lambda room: [line.text for line in room.chat] == ["Welcome, Eve", "Glad to be here"])
        await eve.page.get_by_role("button", name="Applause").click()
        told = await ann.told(lambda emitted: isinstance(emitted.signal, wire.Reaction))
        assert (told.name, told.signal) == ("Eve", wire.Reaction("👏"))
        assert [emitted.name for emitted in ann.signals if isinstance(emitted.signal, wire.Typing)] == ["Eve"]
        await expect(eve.page.locator("#floating")).to_contain_text("👏")
        await eve.assert_unharmed()


async def test_script_in_names_titles_and_messages_is_only_text(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    title = PAYLOADS[1]
    async with (
        joined(
            server.url,
            await server.token("mallory", PAYLOADS[0]),
            cid,
            requests=(GetOrCreate(title=title), Join(), GoLive()),
            media=False,
        ) as mallory,
        visitor(browser) as target,
    ):
        await target.come_in(server.url, cid, PAYLOADS[2])
        for payload in PAYLOADS:
            await mallory.do(PostMessage(payload))
            await mallory.emit(wire.Reaction(payload[:16]))
        await mallory.emit(wire.Typing())
        texts = target.page.get_by_role("log").locator(".text")
        await expect(texts).to_have_text(PAYLOADS, timeout=10_000)
        await expect(target.page.locator("#speakers .who")).to_have_text(PAYLOADS[0])
        await expect(target.page.locator("#title")).to_have_text(title)
        grown = "document.querySelectorAll('main script, main iframe, main img, main a, main style').length"
        assert await target.watched(grown) == 0
        await target.assert_unharmed()


async def test_the_page_fits_a_phone(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    long_name = "Wolfeschlegelsteinhausenbergerdo"
    async with (
        joined(server.url, await server.host(long_name), cid, media=False) as ann,
        visitor(browser, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True) as fay,
    ):
        await fay.come_in(server.url, cid, "Fay")
        await ann.do(PostMessage("w" * 300))
        await expect(fay.page.get_by_role("log")).to_contain_text("www")
        assert await fay.watched("document.documentElement.scrollWidth") == 360
        small = """[...document.querySelectorAll("button, input")].filter((item) => {
            const { width, height } = item.getBoundingClientRect();
            return item.checkVisibility() && (width < 40 || height < 40);
        }).map((item) => item.id || item.ariaLabel)"""
        assert await fay.watched(small) == []
        for button in ("main-action", "leave", "mute-here"):
            await expect(fay.page.locator(f"#{button}")).to_be_in_viewport(ratio=1)


async def test_a_personal_link_names_its_owner_and_leaves_the_address_bar_at_once(
    browser: Browser, server: LiveServer
) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as gil,
    ):
        token = await server.token("gil", "Gil Åberg")
        await gil.page.goto(f"{server.url}/r/{cid}#token={token}")
        assert gil.page.url == f"{server.url}/r/{cid}"
        await gil.page.reload()  # this tab still knows who it is
        await expect(gil.page.get_by_label("Your name")).to_be_hidden()
        await gil.page.get_by_role("button", name="Listen").click()
        await gil.inside()
        room = await ann.until(lambda room: "gil" in room.participants)
        assert room.participants[UserId("gil")].name == "Gil Åberg"
        await gil.assert_unharmed()


async def test_a_lost_connection_comes_back_without_a_ghost(talker: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid) as ann,
        visitor(talker) as hal,
    ):
        await hal.come_in(server.url, cid, "Hal  Nine")
        guest = await seen(ann, "Hal Nine")
        await ann.do(InviteToStage(guest.user))
        await hal.page.get_by_role("button", name="Accept").click()
        await hal.page.get_by_role("button", name="Open microphone").click()
        await ann.hears(guest.number)
        await hal.watched(f"({UNREACHABLE})()")
        await hal.watched("watched.sockets.at(-1).close()")
        await expect(hal.page.locator("#main-words")).to_have_text("Connection lost.")
        own = hal.page.locator("#speakers li", has_text="Hal")
        await expect(own.locator(".words")).to_have_text("connection lost")
        await expect(own).not_to_have_class(re.compile("speaking|open"))
        await hal.watched("(window.WebSocket = watched.reachable)")
        await hal.until("watched.sockets.length > 1")
        await expect(hal.page.locator("#main-words")).to_have_text("You are heard.")
        await hal.status("You hear the room, and it hears you.")
        await ann.do(PostMessage("still there?"))
        await expect(hal.page.get_by_role("log")).to_contain_text("still there?")
        ann.heard.clear()
        await ann.hears(guest.number)
        others = [user for user in ann.room.participants if user != ann.user]
        assert others == [guest.user]
        await hal.assert_unharmed()


async def test_who_is_sent_out_is_told_by_whom(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, media=False) as ann,
        visitor(browser) as ivy,
    ):
        await ivy.come_in(server.url, cid, "Ivy")
        guest = await seen(ann, "Ivy")
        await ann.do(Kick(guest.user))
        await expect(ivy.page.locator("#gone-words")).to_have_text(
            "You were sent out by Ann. You may come back."
        )
        assert await ivy.watched("watched.peers.every((peer) => peer.connectionState === 'closed')")
        await ivy.page.get_by_role("button", name="Join again").click()
        await ivy.inside()


async def test_the_page_says_when_it_is_not_audible(browser: Browser, server: LiveServer) -> None:
    cid = new_cid()
    async with (
        joined(server.url, await server.host(), cid, source=Tone(TONE_HZ, -20.0)) as ann,
        visitor(browser) as jo,
    ):
        await ann.do(SetMicrophone(on=True))
        # Without anybody's click: the form is sent by a script, as no person would.
        await jo.page.add_init_script(
            """addEventListener("load", () => setTimeout(() => {
                document.getElementById("name").value = "Jo";
                document.getElementById("door-form").requestSubmit();
            }))"""
        )
        await jo.page.goto(f"{server.url}/r/{cid}")
        await jo.status("Not audible: the browser holds the sound back.")
        await jo.page.get_by_role("button", name="Turn the sound on").click()
        await jo.status("You hear the room.")
        await jo.page.get_by_role("button", name="Silence the room here").click()
        await jo.status("Not audible: the volume here is at zero.")
        await jo.assert_unharmed()


async def test_over_plain_http_a_listener_listens_and_learns_why_speaking_needs_more(
    server: LiveServer,
) -> None:
    cid = new_cid()
    address = server.url.replace("127.0.0.1", PLAIN_NAME)
    async with (
        launched([f"--host-resolver-rules=MAP {PLAIN_NAME} 127.0.0.1"]) as browser,
        joined(server.url, await server.host(), cid, source=Tone(TONE_HZ, -20.0)) as ann,
        visitor(browser) as leo,
    ):
        await ann.do(SetMicrophone(on=True))
        await leo.come_in(address, cid, "Leo")
        assert await leo.watched("isSecureContext") is False
        await leo.hears(ann.room.participants[ann.user].number, TONE_HZ)
        await ann.do(InviteToStage((await seen(ann, "Leo")).user))
        await leo.page.get_by_role("button", name="Accept").click()
        await leo.page.get_by_role("button", name="Open microphone").click()
        await expect(leo.page.locator("#notices")).to_contain_text("this page came over plain http")
        await expect(leo.page.get_by_role("button", name="Open microphone")).to_be_visible()
        await leo.assert_unharmed()


async def test_without_a_room_in_the_address_the_page_asks_for_one(
    browser: Browser, server: LiveServer
) -> None:
    async with visitor(browser) as mia:
        await mia.page.goto(f"{server.url}/")
        await mia.page.get_by_label("Room", exact=True).fill("audio_room:standup")
        await mia.page.get_by_label("Your name").fill("Mia")
        await mia.page.keyboard.press("Enter")
        await mia.page.wait_for_url(f"{server.url}/r/audio_room:standup")
        await expect(mia.page.get_by_label("Your name")).to_have_value("Mia")
        await mia.assert_unharmed()


async def test_a_room_that_is_not_there_is_said_at_the_door(browser: Browser, server: LiveServer) -> None:
    async with visitor(browser) as kim:
        await kim.page.goto(f"{server.url}/r/audio_room:nobody-made-this")
        await kim.page.get_by_label("Your name").fill("Kim")
        await kim.page.get_by_role("button", name="Listen").click()
        await expect(kim.page.get_by_role("alert")).to_have_text(
            re.compile("there is no room", re.IGNORECASE)
        )
        await kim.assert_unharmed()


async def test_only_the_servers_own_page_can_speak_to_it(browser: Browser, server: LiveServer) -> None:
    opens = """(address) => new Promise((resolve) => {
        const socket = new WebSocket(address);
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
    })"""
    posts = (
        "(address) => fetch(address, { method: 'POST', body: '{}' }).then(({ status }) => status, () => 0)"
    )
    socket = f"{server.url.replace('http', 'ws')}/ws"
    async with visitor(browser) as own, visitor(browser) as other, another_site() as elsewhere:
        await own.page.goto(f"{server.url}/r/audio_room:any")
        await other.page.goto(elsewhere)
        assert await own.page.evaluate(opens, socket)
        assert not await other.page.evaluate(opens, socket)
        assert await own.page.evaluate(posts, f"{server.url}/api/guest") == 400
        assert await other.page.evaluate(posts, f"{server.url}/api/guest") == 0


async def test_the_policy_of_the_page_allows_nothing_from_outside(server: LiveServer) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/r/audio_room:any") as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        body = await response.text()
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", body)
    assert not re.search(r"<style|\sstyle=|\son\w+=", body)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", body)


@asynccontextmanager
async def another_site() -> AsyncIterator[str]:
    """Yield the address of an empty page of another origin on the same machine."""

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def microphone_captured(person: Visitor) -> bool:
    captured: bool = await person.watched(
        "watched.peers.at(-1).getSenders().some((sender) => sender.track?.readyState === 'live')"
    )
    return captured


async def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the element called `wanted` has the focus, at most once around the page."""
    for _ in range(40):
        if await page.evaluate("document.activeElement?.id") == wanted:
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {wanted}")
