"""Several calls on one microphone and one loudspeaker, measured on what comes out at everybody's end; stepped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from greenroom.backends.base import Link, LinkChanged
from greenroom.backends.loopback import LoopbackBackend, LoopbackSession
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Malformed, Misuse, Refused
from greenroom.lab.hear_matrix import PILOT_DBFS, Rig, pilot_dbfs
from greenroom.media.blocks import FRAME, RATE_HZ, Block
from greenroom.media.sources import Tone
from greenroom.protocol.deciding import Actor
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.requests import Join, Request, SetSuspended
from greenroom.protocol.room import LeaveReason
from greenroom.protocol.wire import Welcome
from greenroom.state.call import CallPhase, MediaPhase
from greenroom.state.focus import MultiCallPolicy
from tests.media.sound import click_ratio

A, B, C = "default:a", "default:b", "default:c"
WHO = {A: "ann", B: "bo", C: "cy"}
ALL_POLICIES = list(MultiCallPolicy)


class Holders:
    """Counts, at every change of a client's state, the calls whose microphone is open."""

    def __init__(self, client: Client) -> None:
        self.most = 0
        client.state.subscribe(
            lambda state: self._count(sum(call.microphone.open for call in state.calls.values()))
        )

    def _count(self, open_now: int) -> None:
        self.most = max(self.most, open_now)


async def rooms(rig: Rig, policy: MultiCallPolicy | str, *cids: str) -> Client:
    """Bring `you` in, and one other person into each room; you are in none yet."""
    you = await rig.person("you", policy=policy)
    for cid in cids:
        await rig.person(WHO[cid])
        await rig.join(WHO[cid], cid)
    return you


def suspended_seen(rig: Rig, cid: str) -> bool:
    """Whether the others in a room see that your sound is elsewhere."""
    room = rig.people[WHO[cid]].calls[0].state.value.room
    assert room is not None
    return room.participants[UserId("you")].suspended


@pytest.mark.parametrize(
    ("policy", "you_hear", "hears_you"),
    [
        ("suspend_existing", {"cy"}, "cy"),
        ("suspend_incoming", {"ann"}, "ann"),
        ("manual", {"ann", "bo", "cy"}, "ann"),
        ("duck", {"ann", "bo", "cy"}, "cy"),
        ("pan", {"ann", "bo", "cy"}, "cy"),
    ],
)
async def test_three_calls_sound_as_the_policy_says_and_nothing_leaks(
    policy: str, you_hear: set[str], hears_you: str
) -> None:
    async with Rig() as rig:
        you = await rooms(rig, policy, A, B, C)
        holders = Holders(you)
        for cid in (A, B, C):
            await rig.join("you", cid)
        await rig.step(0.5)
        heard = await rig.matrix()
        assert heard.heard() == {("you", name) for name in you_hear} | {(hears_you, "you")}
        assert heard.leak_db(rig.promised()) < -70.0
        assert [suspended_seen(rig, cid) for cid in (A, B, C)] == [WHO[cid] != hears_you for cid in (A, B, C)]
        assert holders.most == 1
        if policy == "duck":
            assert heard.level("you", "ann") - heard.level("you", "cy") == pytest.approx(-12.0, abs=0.2)


async def test_calls_are_placed_across_the_stereo_field() -> None:
    async with Rig() as rig:
        await rooms(rig, "pan", A, B, C)
        for cid in (A, B, C):
            await rig.join("you", cid)
        await rig.step(1.0)
        heard = rig.meters["you"].recent(0.5)
        difference = {
            name: pilot_dbfs(heard[:, 1:], hertz) - pilot_dbfs(heard[:, :1], hertz)
            for name, hertz in rig.pilots_hz.items()
            if name != "you"
        }
        assert difference["ann"] < -6.0
        assert difference["bo"] == pytest.approx(0.0, abs=0.1)
        assert difference["cy"] > 6.0


async def test_the_foreground_call_that_ends_gives_sound_back_to_the_one_in_the_background() -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A, B)
        talk = await rig.join("you", A, microphone=False)
        support = await rig.join("you", B)
        await rig.step(0.5)
        assert (await rig.matrix()).heard() == {("you", "bo"), ("bo", "you")}
        await support.leave()
        await rig.step(0.1)
        assert (await rig.matrix()).heard() == {("you", "ann")}, (
            "your microphone was off there, and stays off"
        )
        assert you.focused_call.value is talk
        assert not suspended_seen(rig, A)


async def test_a_join_that_is_refused_gives_sound_back() -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A)
        await rig.join("you", A)
        with pytest.raises(Refused):
            await you.join("default:nowhere")
        await rig.step(0.1)
        assert (await rig.matrix()).heard() == {("you", "ann"), ("ann", "you")}
        assert [call.cid for call in you.active_calls.value] == [A]


async def test_leaving_a_background_call_changes_nothing_for_the_one_that_is_heard() -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A, B, C)
        calls = {cid: await rig.join("you", cid) for cid in (A, B, C)}
        await you.switch_focus(calls[A])
        await rig.step(0.1)
        await calls[B].leave()
        heard = await rig.matrix()
        assert heard.heard() == {("you", "ann"), ("ann", "you")}
        await calls[A].leave()
        await rig.step(0.1)
        assert (await rig.matrix()).heard() == {("you", "cy"), ("cy", "you")}


class Late(LoopbackSession):
    """A session whose joins are answered when `answer` is set, and which is refused what `refuses` says."""

    def __init__(self, rig: Rig, name: str) -> None:
        super().__init__(rig.world, Actor(UserId(name), name.title()))
        self.answer = asyncio.Event()
        self.answer.set()
        self.refuses: Callable[[Cid, Request], bool] = lambda _cid, _request: False

    async def do(self, cid: Cid, request: Request) -> None:
        if isinstance(request, Join):
            await self.answer.wait()
        if self.refuses(cid, request):
            raise Refused("the house is on fire")
        await super().do(cid, request)


class LateBackend(LoopbackBackend):
    def __init__(self, rig: Rig, name: str) -> None:
        super().__init__(rig.world, Actor(UserId(name), name.title()))
        self.only = Late(rig, name)

    def session(self, cid: Cid | None = None) -> Late:
        return self.only


async def late_client(rig: Rig, policy: str, *, several: bool = True) -> tuple[Client, Late]:
    """Bring `you` in behind a session that can be made to wait and to refuse."""
    backend = LateBackend(rig, "you")
    you = await rig.person("you", policy=policy, backend=backend, several=several)
    return you, backend.only


async def test_calls_that_are_still_joining_can_be_suspended() -> None:
    async with Rig() as rig:
        you, session = await late_client(rig, "suspend_existing")
        for cid in (A, B):
            await rig.person(WHO[cid])
            await rig.join(WHO[cid], cid)
        session.answer.clear()
        joining = [asyncio.create_task(you.join(cid, microphone=True)) for cid in (A, B)]
        await you.state.until(
            lambda state: [call.phase for call in state.calls.values()] == [CallPhase.JOINING] * 2, 5.0
        )
        assert [call.cid for call in you.active_calls.value] == [A, B]
        assert you.call(A).state.value.suspended
        await you.call(B).suspend_audio()
        you.engine.call_soon(session.answer.set)
        for call in await asyncio.gather(*joining):
            await call.sound_connected()
        await rig.step(0.2)
        assert (await rig.matrix()).heard() == frozenset()
        await you.call(A).resume_audio()
        await rig.step(0.1)
        assert (await rig.matrix()).heard() == {("you", "ann"), ("ann", "you")}


async def test_a_join_asked_for_twice_is_one_join_and_both_get_its_call() -> None:
    async with Rig() as rig:
        you, session = await late_client(rig, "suspend_existing")
        await rig.person("ann")
        await rig.join("ann", A)
        session.answer.clear()
        joins = [asyncio.create_task(you.join(A)) for _ in range(3)]
        await you.state.until(lambda state: A in state.calls, 5.0)
        you.engine.call_soon(session.answer.set)
        calls = await asyncio.gather(*joins)
        assert len(set(calls)) == 1
        assert you.active_calls.value == (calls[0],)


async def test_a_call_left_while_it_is_joining_does_not_come_to_life_after_it() -> None:
    async with Rig() as rig:
        you, session = await late_client(rig, "suspend_existing", several=False)
        for cid in (A, B):
            await rig.person(WHO[cid])
            await rig.join(WHO[cid], cid)
        session.answer.clear()
        first = asyncio.create_task(you.join(A))
        await you.state.until(lambda state: A in state.calls, 5.0)
        second = asyncio.create_task(you.join(B))
        await you.state.until(lambda state: state.focus.active == (B,), 5.0)
        you.engine.call_soon(session.answer.set)
        with pytest.raises(Refused, match="was left before it was joined"):
            await first
        call = await second
        await call.sound_connected()
        assert (you.active_call.value, you.active_calls.value) == (call, (call,))


async def test_a_room_that_does_not_take_us_back_leaves_everything_as_it_was() -> None:
    async with Rig() as rig:
        you, session = await late_client(rig, "suspend_existing")
        for cid in (A, B):
            await rig.person(WHO[cid])
            await rig.join(WHO[cid], cid)
        calls = {cid: await rig.join("you", cid) for cid in (A, B)}
        await rig.step(0.2)
        holders = Holders(you)
        session.refuses = lambda cid, request: cid == A and request == SetSuspended(False)
        for switch in (True, False):
            with pytest.raises(Refused, match="on fire"):
                await (you.switch_focus(A) if switch else calls[A].resume_audio())
            await rig.step(0.2)
            assert (await rig.matrix()).heard() == {("you", "bo"), ("bo", "you")}
        assert holders.most == 1
        assert any("could not be resumed" in notice.text for notice in calls[A].state.value.notices)


async def test_a_room_that_cannot_be_told_blocks_neither_a_suspension_nor_a_join() -> None:
    async with Rig() as rig:
        _you, session = await late_client(rig, "suspend_existing")
        for cid in (A, B):
            await rig.person(WHO[cid])
            await rig.join(WHO[cid], cid)
        first = await rig.join("you", A)
        session.refuses = lambda _cid, request: isinstance(request, SetSuspended)
        await rig.join("you", B)
        await rig.step(0.2)
        assert (await rig.matrix()).heard() == {("you", "bo"), ("bo", "you")}
        assert any("on fire" in notice.text for notice in first.state.value.notices)


Step = Callable[[Rig, Call], Awaitable[object]]


@pytest.mark.parametrize(
    ("before", "while_suspended", "speaks"),
    [
        pytest.param(True, [], True, id="on, then on again"),
        pytest.param(False, [], False, id="off stays off"),
        pytest.param(
            True, [lambda _rig, call: call.set_microphone(False)], False, id="switched off meanwhile"
        ),
        pytest.param(False, [lambda _rig, call: call.set_microphone(True)], True, id="switched on meanwhile"),
        pytest.param(
            True,
            [lambda rig, _call: rig.people["ann"].calls[0].mute("you")],
            False,
            id="muted by a moderator meanwhile",
        ),
        pytest.param(
            True,
            [
                lambda rig, _call: rig.people["ann"].calls[0].revoke("you"),
                lambda rig, _call: rig.people["ann"].calls[0].grant("you"),
            ],
            False,
            id="taken off the stage and brought back meanwhile",
        ),
        pytest.param(True, [lambda rig, _call: lose_sound(rig, A)], True, id="sound lost meanwhile"),
        pytest.param(True, [lambda rig, _call: reconnect(rig)], True, id="reconnected meanwhile"),
        pytest.param(True, [lambda rig, call: forgotten(rig, call)], True, id="forgotten by the server"),
    ],
)
async def test_a_suspended_call_is_silent_whatever_happens_and_resumes_as_a_person_expects(
    before: bool, while_suspended: list[Step], speaks: bool
) -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A)
        call = await rig.join("you", A, microphone=before)
        await rig.step(0.1)
        await call.suspend_audio()
        for happens in while_suspended:
            await happens(rig, call)
            await rig.step(0.1)
            await call.sound_connected()
        assert (await rig.matrix(0.3)).heard() == frozenset()
        assert call.state.value.microphone.suspended
        assert suspended_seen(rig, A)
        await call.resume_audio()
        await rig.step(0.1)
        assert (await rig.matrix(0.3)).heard() == {("you", "ann")} | ({("ann", "you")} if speaks else set())
        assert not suspended_seen(rig, A)
        assert you.focused_call.value is call


async def lose_sound(rig: Rig, cid: str) -> None:
    async def lose() -> MediaPhase:
        rig.world.sessions[UserId("you")].lose_media(Cid(cid), "its worker died")
        return rig.people["you"].call(cid).state.value.media

    assert await rig.engine.run(lose()) is not MediaPhase.CONNECTED


async def reconnect(rig: Rig) -> None:
    """Lose the connection, and find it again with everything kept."""
    await rig.engine.run(_reconnect(rig))


async def _reconnect(rig: Rig) -> None:
    core = rig.people["you"]._core
    state = core.state.value
    core.link_changed(LinkChanged(Link.RECONNECTING, 1))
    core.link_changed(LinkChanged(Link.ONLINE))
    resumed = tuple(core.memberships)
    core.received(Welcome(state.user, state.name, state.role, "loopback", "again", 0.0, resumed=resumed))


async def forgotten(rig: Rig, call: Call) -> None:
    """Lose the connection for so long that the room lets go of us and we have to join again."""

    async def happen() -> None:
        core, session = rig.people["you"]._core, rig.world.sessions[UserId("you")]
        core.link_changed(LinkChanged(Link.RECONNECTING, 1))
        hub = rig.world.hub(call.cid)
        session.forget(call.cid)
        rig.world.publish(hub, hub.remove(UserId("you"), LeaveReason.LOST))
        core.link_changed(LinkChanged(Link.ONLINE))
        await session.do(call.cid, Join())

    await rig.engine.run(happen())


@pytest.mark.parametrize("policy", ["suspend_existing", "duck", "pan"])
async def test_a_switch_makes_no_click(policy: str) -> None:
    async with Rig() as rig:
        you = await rooms(rig, policy, A, B)
        calls = [await rig.join("you", cid) for cid in (A, B)]
        await rig.step(1.0)
        for call in (calls[0], calls[1], calls[0]):
            await you.switch_focus(call)
            await rig.step(0.5)
        for name in ("you", "ann", "bo"):
            sound = rig.meters[name].recent(2.0)
            said_by = ("ann", "bo") if name == "you" else ("you",)
            tones = [Tone(rig.pilots_hz[who], PILOT_DBFS).read(RATE_HZ // 10) for who in said_by]
            assert click_ratio(sound, np.sum(tones, axis=0)) < 1.5


def half_after_ms(sound: Block, hertz: float) -> float:
    """How long it takes, in ms, until a tone that is faded in has half of its final level."""
    window = RATE_HZ // 200
    levels = [
        10.0 ** (pilot_dbfs(sound[start : start + window], hertz) / 20.0)
        for start in range(0, len(sound) - window, window // 5)
    ]
    final = float(np.median(levels[-20:]))
    return 1000.0 * next(n for n, level in enumerate(levels) if level >= final / 2) * (window // 5) / RATE_HZ


@pytest.mark.parametrize("how", ["resume", "switch", "leave"])
async def test_a_call_is_heard_within_60_ms_of_being_resumed_and_hears_us_as_soon(how: str) -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A, B)
        first, second = [await rig.join("you", cid) for cid in (A, B)]
        await rig.step(10.0)
        match how:
            case "resume":
                await first.resume_audio()
            case "switch":
                await you.switch_focus(first)
            case "leave":
                await second.leave()
        await rig.step(0.3)
        assert half_after_ms(rig.meters["you"].recent(0.3), rig.pilots_hz["ann"]) <= 60.0
        assert half_after_ms(rig.meters["ann"].recent(0.3), rig.pilots_hz["you"]) <= 60.0


async def test_a_long_suspension_adds_no_delay_and_loses_no_time() -> None:
    async with Rig() as rig:
        await rooms(rig, "suspend_existing", A)
        call = await rig.join("you", A)
        await rig.step(0.1)
        source = rig.people["ann"]._core.sound.source.source
        assert isinstance(source, Tone)
        await call.suspend_audio()
        await rig.step(30.0)
        await call.resume_audio()
        await rig.step(0.1)
        sound = rig.meters["you"].recent(FRAME / RATE_HZ)[:, 0]
        phase = source._phase - 2 * np.pi * source.frequency_hz * (FRAME - np.arange(FRAME)) / RATE_HZ
        assert np.corrcoef(sound, np.sin(phase))[0, 1] > 0.999, "what is heard is what is said now"


async def test_policies_change_while_calls_run() -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A, B)
        for cid in (A, B):
            await rig.join("you", cid)
        await rig.step(0.1)
        await you.set_multi_call_policy("duck")
        await rig.step(0.6)
        heard = await rig.matrix()
        assert heard.level("you", "ann") - heard.level("you", "bo") == pytest.approx(-12.0, abs=0.2)
        await you.set_multi_call_policy(MultiCallPolicy.SUSPEND_EXISTING)
        await rig.step(0.1)
        assert (await rig.matrix()).heard() == {("you", "bo"), ("bo", "you")}
        with pytest.raises(Malformed, match="there is no multi-call policy 'loud'"):
            await you.set_multi_call_policy("loud")


async def test_active_calls_are_told_to_who_subscribes_late_and_in_order_of_joining() -> None:
    async with Rig() as rig:
        you = await rooms(rig, "suspend_existing", A, B)
        calls = [await rig.join("you", cid) for cid in (A, B)]
        told: list[tuple[Call, ...]] = []
        you.active_calls.subscribe(told.append)
        focused: list[Call | None] = []
        you.focused_call.subscribe(focused.append)
        await you.switch_focus(A)
        await calls[0].leave()
        assert told == [tuple(calls), (calls[1],)]
        assert focused == [calls[1], calls[0], None, calls[1]] or focused == [calls[1], calls[0], calls[1]]
        with pytest.raises(Misuse, match="active_calls or focused_call"):
            _ = you.active_call
        with pytest.raises(Misuse, match="join it first"):
            await you.switch_focus("default:never")


async def test_one_call_at_a_time_replaces_the_call_before() -> None:
    async with Rig() as rig:
        you = await rig.person("you", several=False, policy="duck")
        for cid in (A, B):
            await rig.person(WHO[cid])
            await rig.join(WHO[cid], cid)
        first = await rig.join("you", A)
        assert you.active_call.value is first
        second = await rig.join("you", B)
        assert first.state.value.left_reason == "replaced"
        assert (you.active_call.value, you.focused_call.value) == (second, second)
        await rig.step(0.2)
        assert (await rig.matrix()).heard() == {("you", "bo"), ("bo", "you")}
        await second.leave()
        assert you.active_call.value is None


def test_a_client_without_a_known_policy_is_refused() -> None:
    with pytest.raises(Malformed, match="there is no multi-call policy"):
        Client("http://127.0.0.1:1", multi_call_policy="loudest")
