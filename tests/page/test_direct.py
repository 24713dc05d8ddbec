"""A browser and an engine: sound goes straight from one to the other, and through the server where it cannot."""

from __future__ import annotations

import asyncio
from secrets import token_hex
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from greenroom.backends.sfu import SfuBackend
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.lab.netsim import RelayedBackend
from greenroom.lab.weather import CLEAR, Weather
from greenroom.media.dsp import strongest_hz
from greenroom.media.sources import Tone
from greenroom.policies.peer_to_peer import Straight, ThroughServer, Waiting, plan_way
from greenroom.protocol.ids import UserId
from greenroom.protocol.requests import End, Join, Leave, Mute, Revoke, SetSuspended
from greenroom.state.call import CallState, MediaPhase
from greenroom.state.path import MediaPath, Way
from tests.live.listening import until
from tests.page.live import LiveServer
from tests.page.visitor import Visitor, visitor
from tests.policies.test_peer_to_peer import ANN, BO, BO_SPEAKS, CY, LISTENER, SPEAK, Step, room_of

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.asyncio(loop_scope="session")]

TONE_HZ = 1000.0
MICROPHONE_HZ = 440.0
BLOCKED = Weather(loss=1.0)
KINDS: dict[type, str] = {Straight: "straight", Waiting: "waiting", ThroughServer: "through"}
STEPS: list[Step] = [
    (ANN, Mute(BO.user)),
    (BO, SetSuspended(True)),
    (CY, Join()),
    (ANN, Revoke(BO.user, SPEAK)),
    (BO, Leave()),
    (ANN, End()),
]

# The strongest frequency of what the page plays of the last connection's first line.
STRONGEST = """async () => {
  const [receiver] = watched.peers.at(-1).getReceivers();
  watched.context ??= new AudioContext();
  await watched.context.resume();
  if (!receiver.tap) {
    receiver.tap = watched.context.createAnalyser();
    receiver.tap.fftSize = 16384;
    watched.context.createMediaStreamSource(new MediaStream([receiver.track])).connect(receiver.tap);
  }
  const bins = new Float32Array(receiver.tap.frequencyBinCount);
  receiver.tap.getFloatFrequencyData(bins);
  const peak = bins.indexOf(Math.max(...bins));
  return bins[peak] > -60 ? peak * watched.context.sampleRate / receiver.tap.fftSize : 0;
}"""


async def page_hears(page: Visitor, hertz: float) -> None:
    """Return once the page plays this tone."""
    async with asyncio.timeout(10):
        while abs(float(await page.page.evaluate(STRONGEST)) - hertz) > 5:  # noqa: ASYNC110  sound announces nothing
            await asyncio.sleep(0.05)


async def engine_hears(call: Call, user: UserId) -> None:
    """Return once the engine has heard half a second more of the browser's microphone."""
    before = call.heard_seconds().get(user, 0.0)
    await until(lambda: call.heard_seconds().get(user, 0.0) >= before + 0.5)
    await until(lambda: abs(strongest_hz(call.last(user, 0.5)[:, 0]) - MICROPHONE_HZ) < 2.0)


async def goes(call: Call, way: Way) -> CallState:
    """Return the state once sound goes this way."""
    return await call.state.until(
        lambda state: state.path.way is way and state.media is MediaPhase.CONNECTED, 10.0
    )


async def the_guest(call: Call) -> UserId:
    """Return who came in by the page."""
    state = await call.state.until(lambda state: state.room is not None and len(state.room.participants) == 2)
    assert state.room is not None
    return next(user for user in state.room.participants if user != state.me)


def ann_at(backend: SfuBackend) -> Client:
    return Client(backend=backend, source=Tone(TONE_HZ, -20.0))


@pytest.mark.parametrize("engine_offers", [True, False], ids=["the engine offers", "the browser offers"])
async def test_an_engine_and_a_browser_hear_each_other_directly(
    talker: Browser, server: LiveServer, engine_offers: bool
) -> None:
    cid = f"direct:{token_hex(4)}"
    async with (
        ann_at(SfuBackend(server.url, token=await server.host())) as ann,
        visitor(talker) as bo,
    ):
        await ann.create(cid)
        if engine_offers:
            call = await ann.join(cid, microphone=True)
        await bo.come_in(server.url, cid, "Bo")
        if not engine_offers:
            await bo.status("Nobody else is here yet.")
            call = await ann.join(cid, microphone=True)
        assert (await goes(call, Way.DIRECT)).path == MediaPath(Way.DIRECT)
        await bo.status("You hear the other person directly.")
        await bo.page.get_by_role("button", name="Open microphone").click()
        await bo.status("You hear each other directly.")
        await page_hears(bo, TONE_HZ)
        guest = await the_guest(call)
        await engine_hears(call, guest)
        assert await bo.watched("watched.peers.length") == 1, "there is none to the server"

        await call.mute(guest)
        await expect(bo.page.locator("#main-words")).to_have_text("Ann muted you.")
        assert not await bo.watched("watched.peers[0].getSenders().some((sender) => sender.track)")
        await call.set_microphone(False)
        await bo.assert_unharmed()


async def test_a_browser_that_is_not_reached_directly_is_served_by_the_server_and_says_why(
    talker: Browser, server: LiveServer
) -> None:
    cid = f"direct:{token_hex(4)}"
    backend = RelayedBackend(server.url, token=await server.host(), between=BLOCKED)
    async with ann_at(backend) as ann, visitor(talker) as bo:
        call = await ann.join(cid, create=True, microphone=True)
        await bo.come_in(server.url, cid, "Bo")
        assert (await goes(call, Way.FORWARDED)).path.reason == "no direct way to Bo was found"
        await bo.status("You hear the room, through the server: no direct way to Ann was found.")
        await bo.page.get_by_role("button", name="Open microphone").click()
        await page_hears_somewhere(bo, call)
        await engine_hears(call, await the_guest(call))
        await bo.assert_unharmed()


async def test_a_direct_way_to_a_browser_that_is_lost_leads_through_the_server(
    talker: Browser, server: LiveServer
) -> None:
    cid = f"direct:{token_hex(4)}"
    backend = RelayedBackend(server.url, token=await server.host(), between=CLEAR)
    async with ann_at(backend) as ann, visitor(talker) as bo:
        call = await ann.join(cid, create=True, microphone=True)
        await bo.come_in(server.url, cid, "Bo")
        await goes(call, Way.DIRECT)
        await page_hears(bo, TONE_HZ)
        backend.change_between(BLOCKED)
        await goes(call, Way.FORWARDED)
        await bo.status("You hear the room, through the server: the direct way to Ann was lost.")
        await page_hears_somewhere(bo, call)


async def test_the_page_plans_ways_as_engines_do(modules: Page) -> None:
    rooms = [room_of(), room_of(kind="default"), room_of((LISTENER, Join()))]
    rooms += [room_of(*BO_SPEAKS, step) for step in STEPS]
    for room in rooms:
        for me in (ANN.user, BO.user):
            for given_up in ({}, {2: "tried"}):
                ours = plan_way(room, me, given_up)
                theirs: dict[str, object] = await modules.evaluate(
                    """async ([room, me, givenUp]) => {
                      const { planWay } = await import("/static/ways.mjs");
                      return planWay(room, me, new Map(givenUp));
                    }""",
                    [msgspec.to_builtins(room), me, list(given_up.items())],
                )
                assert theirs == {"kind": KINDS[type(ours)], **msgspec.structs.asdict(ours)}


async def page_hears_somewhere(page: Visitor, call: Call) -> None:
    """Return once the page plays the engine's tone in one of the slots the server fills."""
    myself: Any = call.state.value.myself
    await page.hears(myself.number, TONE_HZ)
