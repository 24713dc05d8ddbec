"""Plays a scene with real engines: in memory, faster than real time and the same every time, or on a server, by the clock.

Everybody in a scene sends a tone of their own where its expectations are to be measured, and talks with a voice where
people listen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

import msgspec

from greenroom.backends.base import Backend
from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.engine.thread import EngineThread
from greenroom.errors import GreenroomError, Misuse, Refused
from greenroom.lab.expectations import (
    Expectation,
    Focused,
    Hands,
    Hears,
    Live,
    Present,
    Rung,
    Speaks,
    Suspended,
)
from greenroom.lab.scene import Do, Scene, Step
from greenroom.media.blocks import FRAME_SECONDS
from greenroom.media.dsp import tone_dbfs
from greenroom.media.sinks import Meter
from greenroom.media.sources import AudioSource, Silence, Tone
from greenroom.policies.multicall import policy_named
from greenroom.protocol.ids import ADMIN, Cid, Role, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import DenyHand, GetOrCreate, GrantHand, Mute, NewMember, PostMessage, Revoke
from greenroom.protocol.room import Room
from greenroom.protocol.wire import Reaction
from greenroom.state.call import CallPhase, CallState

PILOT_DBFS = -20.0
HEARD_DBFS = -35.0
"""A pilot tone this loud in the mix is heard; sent at full volume it has −20."""
SILENT_DBFS = -60.0
SOFTER_WITHIN_DB = 2.5
LISTEN_SECONDS = 0.2
_FIRST_PILOT_HZ = 400.0
_BETWEEN_PILOTS_HZ = 250.0
_ASK_EVERY_SECONDS = 0.1


class Checked(msgspec.Struct, frozen=True):
    """One expectation of one step, and how it came out. `seen` says what there was instead, "" where it holds."""

    step: int
    at: float
    expected: str
    holds: bool
    seen: str = ""


class Done(msgspec.Struct, frozen=True):
    """One step that was played. `refused` is what the room, or the engine, said to it."""

    number: int
    step: Step
    refused: str = ""
    checked: tuple[Checked, ...] = ()


class SceneReport(msgspec.Struct, frozen=True):
    """How a scene came out. `holds`: everything expected was true, and nobody was refused anything."""

    title: str
    steps: int
    seconds: float
    holds: bool
    failed: tuple[Checked, ...] = ()
    refused: tuple[str, ...] = ()


class Time(Protocol):
    """What moves a scene on."""

    async def advance(self, seconds: float) -> None:
        """Let so much of the scene go by."""


class Clock:
    """The scene goes by the clock; what a step costs is made up for."""

    def __init__(self) -> None:
        self._until: float | None = None

    async def advance(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._until = max(now, (now if self._until is None else self._until) + seconds)
        await asyncio.sleep(self._until - now)


class Steps:
    """The scene goes by 20 ms at a time, as fast as the machine can."""

    def __init__(self, world: LoopbackWorld, clients: Mapping[str, Client]) -> None:
        self._world = world
        self._clients = clients
        self._owed = 0.0
        self.now = 1_000_000.0
        world.clock = lambda: self.now

    async def advance(self, seconds: float) -> None:
        self._owed += seconds
        while self._owed >= FRAME_SECONDS / 2:
            self._owed -= FRAME_SECONDS
            self.now += FRAME_SECONDS
            self._world.step()
            for client in self._clients.values():
                await client.step()
            await asyncio.sleep(0)


class ScenePlayer:
    """A scene while it is played: enter it, then `play` it, or take `steps` one by one.

    `backends` is the way in for each person, `director` that of an admin who makes the rooms; `sources` is what people
    send. `clients` lends somebody's client that is there already (a dashboard's), which then stays open.
    """

    def __init__(
        self,
        scene: Scene,
        backends: Mapping[str, Callable[[], Backend]],
        *,
        sources: Mapping[str, AudioSource] | None = None,
        director: Backend,
        world: LoopbackWorld | None = None,
        clients: Mapping[str, Client] | None = None,
        engine: EngineThread | None = None,
    ) -> None:
        self.scene = scene
        self._engine = engine
        self._backends = backends
        self._lent = dict(clients or {})
        self._clients: dict[str, Client] = {}
        self._ears: dict[str, Meter] = {}
        self._world = world
        self._director = director
        self._sources = dict(sources or {})
        self._time: Time = Clock()
        self._at = 0.0
        self._placed: dict[str, Cid] = {}

    @classmethod
    def in_memory(cls, scene: Scene, engine: EngineThread) -> ScenePlayer:
        """Return a player for rooms in memory, stepped; enter and use it on the loop of `engine`."""
        world = LoopbackWorld(paced=False)
        backends: dict[str, Callable[[], Backend]] = {
            who: (lambda who=who, plan=plan: world.backend(who, plan.name or who.title()))  # type: ignore[misc]  # bound now
            for who, plan in scene.people.items()
        }
        director = world.backend("director", "The director", ADMIN)
        return cls(scene, backends, world=world, director=director, engine=engine)

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def play(
        self,
        told: Callable[[Done], object] | None = None,
        before: Callable[[int], Awaitable[object]] | None = None,
    ) -> SceneReport:
        """Play to the end and return how it came out; `told` hears of every step, `before` is awaited before each."""
        done: list[Done] = []
        if before is not None:
            await before(1)
        async for one in self.steps():
            done.append(one)
            if told is not None:
                told(one)
            if before is not None and one.number < len(self.scene.steps):
                await before(one.number + 1)
        failed = tuple(check for one in done for check in one.checked if not check.holds)
        refused = tuple(f"step {one.number}: {one.refused}" for one in done if one.refused)
        return SceneReport(
            self.scene.title, len(done), round(self._at, 2), not failed and not refused, failed, refused
        )

    async def steps(self) -> AsyncIterator[Done]:
        """Play one step at a time, as the caller asks for them; time stands still in between when it is stepped."""
        for number, step in enumerate(self.scene.steps, 1):
            await self._pass(step.at - self._at)
            refused = await self._do(step)
            checked = await self._check(number, step)
            yield Done(number, step, refused, checked)

    # ---- people

    async def _open(self) -> None:
        for who, plan in self.scene.people.items():
            ear = self._ears[who] = Meter(keep_seconds=2.0)
            if who in self._lent:
                self._clients[who] = self._lent[who]
                continue
            client = self._clients[who] = Client(
                backend=self._backends[who](),
                name=plan.name or who.title(),
                source=self._source_of(who),
                sink=ear,
                allow_multiple_active_calls=True,
                multi_call_policy=policy_named(plan.policy),
                engine=self._engine,
                paced=self._world is None,
            )
            await client.connect()
        if self._world is not None:
            self._time = Steps(self._world, self._clients)
        await self._open_rooms()
        await asyncio.gather(
            *(
                self._clients[who].join(plan.in_room, microphone=plan.speaks)
                for who, plan in self.scene.people.items()
                if plan.in_room
            )
        )

    async def _open_rooms(self) -> None:
        director = Client(backend=self._director, engine=self._engine, paced=False)
        try:
            for cid, plan in self.scene.rooms.items():
                members = tuple(NewMember(UserId(who), Role(role)) for who, role in plan.roles.items())
                await director.perform(cid, GetOrCreate(plan.title, members, plan.backstage))
        finally:
            await director.close()

    def _source_of(self, who: str) -> AudioSource:
        return self._sources.get(who) or Tone(self._pilot_hz(who), PILOT_DBFS)

    async def _close(self) -> None:
        for who, client in self._clients.items():
            if who not in self._lent:
                with contextlib.suppress(GreenroomError, TimeoutError):
                    await client.close()

    async def _pass(self, seconds: float) -> None:
        if seconds > 0.0:
            await self._time.advance(seconds)
            self._at += seconds

    # ---- what they do

    async def _do(self, step: Step) -> str:
        """Do what the step says; return what was answered to it, "" when it was done."""
        if step.do is None:
            return ""
        try:
            await self._act(step, self._clients[step.who])
        except (GreenroomError, TimeoutError) as error:
            return f"{step.who} could not {step.do}: {error}"
        return ""

    async def _act(self, step: Step, client: Client) -> None:
        match step.do:
            case Do.JOIN:
                await client.join(step.room)
            case Do.POLICY:
                await client.set_multi_call_policy(step.words)
            case Do.FOCUS:
                await client.switch_focus(client.call(step.room))
            case Do.RING | Do.ACCEPT | Do.REJECT | Do.CANCEL:
                await self._ringing(step, client)
            case Do.SPEAK | Do.HUSH:
                client.set_source(self._source_of(step.who) if step.do is Do.SPEAK else Silence())
            case _:
                await _in_room(step, client.call(step.room))

    async def _ringing(self, step: Step, client: Client) -> None:
        """Do what a person does about calls. Who accepts comes in at once, as the buttons of the faces do."""
        callers = {ring.by: ring for ring in client.incoming_calls.value}
        ring = callers.get(UserId(step.to)) if step.to else next(iter(callers.values()), None)
        match step.do:
            case Do.RING:
                placed = await client.ring(step.to.split(), room=step.room or None)
                self._placed[step.who] = placed.cid
            case Do.CANCEL:
                await self._hang_up(step.who, client)
            case _ if ring is None:
                raise Misuse("nobody rings them")
            case Do.ACCEPT:
                await client.accept(ring)
                self._placed[step.who] = ring.cid
                await client.join(ring.cid)
            case _:
                busy = step.words == "busy"
                await client.reject(ring, busy=busy, reason="" if busy else step.words)

    async def _hang_up(self, who: str, client: Client) -> None:
        cid = self._placed.pop(who, None)
        if cid is None:
            raise Misuse("they have no call to hang up")
        if any(ring.cid == cid for ring in client.outgoing_calls.value):
            await client.cancel_ring(cid)
        else:
            await client.call(cid).leave()

    # ---- what is checked

    async def _check(self, number: int, step: Step) -> tuple[Checked, ...]:
        expected = list(zip(step.expect, self.scene.expectations[number - 1], strict=True))
        if not expected:
            return ()
        until = self._at + step.within
        while True:
            checked = tuple(
                Checked(number, round(self._at, 2), words, not (seen := self._seen(one)), seen)
                for words, one in expected
            )
            if all(one.holds for one in checked) or self._at >= until:
                return checked
            await self._pass(_ASK_EVERY_SECONDS)

    def _seen(self, expected: Expectation) -> str:
        """Return what there is instead of what is expected, "" where it holds."""
        match expected:
            case Hears():
                return self._heard_instead(expected)
            case Speaks(who, room, yes):
                call = self._state(who, room)
                is_open = call is not None and call.microphone.open
                reason = "not in the room" if call is None else call.microphone.reason
                return "" if is_open is yes else ("the microphone is open" if is_open else reason)
            case Suspended(who, room, yes):
                here = self._room_of(room, who)
                person = None if here is None else here.participants.get(UserId(who))
                if person is None:
                    return f"{who} is not in {room}"
                return (
                    ""
                    if person.suspended is yes
                    else f"{who} is {'' if person.suspended else 'not '}suspended"
                )
            case Present(who, room, yes):
                call = self._state(who, room)
                here_now = call is not None and call.phase is CallPhase.JOINED
                return "" if here_now is yes else f"{who} is {'' if here_now else 'not '}in {room}"
            case Hands(room, queue):
                seen = self._room_of(room)
                now = () if seen is None else tuple(str(hand.user) for hand in seen.hands)
                return "" if now == queue else f"the queue is {' '.join(now) or 'empty'}"
            case Live(room, yes):
                seen = self._room_of(room)
                live = seen is not None and seen.live and seen.ended_at is None
                return "" if live is yes else f"{room} is {'' if live else 'not '}live"
            case Rung(who, by, yes):
                callers = [str(ring.by) for ring in self._clients[who].incoming_calls.value]
                rung = by in callers if by else bool(callers)
                return "" if rung is yes else f"{who} is rung by {' '.join(callers) or 'nobody'}"
            case Focused(who, room):
                focused = self._clients[who].state.value.focus.focused
                return "" if focused == room else f"the focused call is {focused or 'none'}"

    def _heard_instead(self, expected: Hears) -> str:
        heard = self._ears[expected.who].recent(LISTEN_SECONDS)
        level = tone_dbfs(heard.mean(axis=1), self._pilot_hz(expected.whom)) if len(heard) else -96.0
        words = f"{expected.whom} is heard at {level:.0f} dBFS"
        if not expected.yes:
            return "" if level < SILENT_DBFS else words
        if expected.softer_db:
            softer = PILOT_DBFS - level
            return (
                ""
                if abs(softer - expected.softer_db) <= SOFTER_WITHIN_DB
                else f"{words}, {softer:.0f} dB softer"
            )
        return "" if level > HEARD_DBFS else words

    def _state(self, who: str, room: str) -> CallState | None:
        return self._clients[who].state.value.calls.get(Cid(room))

    def _room_of(self, cid: str, but: str = "") -> Room | None:
        """Return the room as somebody sees it who is in it, if possible somebody else than `but`."""
        seen = {
            who: call.room
            for who in self._clients
            if (call := self._state(who, cid)) is not None and call.phase is CallPhase.JOINED
        }
        others = [room for who, room in seen.items() if who != but]
        return next(iter(others), seen.get(but))

    def _pilot_hz(self, who: str) -> float:
        return pilot_hz(list(self.scene.people).index(who))


def play_in_memory(scene: Scene, told: Callable[[Done], object] | None = None) -> SceneReport:
    """Play `scene` in memory, stepped, on an engine of its own, and return how it came out; `told` hears of every step."""

    engine = EngineThread("greenroom-scene")

    async def play() -> SceneReport:
        async with ScenePlayer.in_memory(scene, engine) as player:
            return await player.play(told)

    engine.acquire()
    try:
        return engine.wait(play())
    finally:
        engine.release()


def pilot_hz(number: int) -> float:
    """Return the frequency of the tone that person `number`, from 0, sends: 250 Hz from everybody else's."""
    return _FIRST_PILOT_HZ + _BETWEEN_PILOTS_HZ * number


async def _in_room(step: Step, call: Call) -> None:
    """Do what a person does in a room they are in."""
    others = [UserId(name) for name in step.to.split()]
    match step.do:
        case Do.LEAVE:
            await call.leave()
        case Do.MUTE | Do.UNMUTE:
            await call.set_microphone(step.do is Do.UNMUTE)
        case Do.SUSPEND:
            await call.suspend_audio()
        case Do.RESUME:
            await call.resume_audio()
        case Do.VOLUME:
            for user in others:
                call.set_volume(user, step.value)
        case Do.RAISE_HAND:
            await call.raise_hand()
        case Do.WITHDRAW_HAND:
            await call.withdraw_hand()
        case Do.NEXT_HAND:
            await call.next_hand()
        case Do.GRANT:
            for user in others:
                await call.perform(GrantHand(user))
        case Do.DENY:
            for user in others:
                await call.perform(DenyHand(user))
        case Do.REVOKE:
            for user in others:
                await call.perform(Revoke(user, frozenset({Capability.SEND_AUDIO})))
        case Do.MUTE_OTHER:
            for user in others:
                await call.perform(Mute(user))
        case Do.GO_LIVE:
            await call.go_live()
        case Do.STOP_LIVE:
            await call.stop_live()
        case Do.END:
            await call.end()
        case Do.CHAT:
            await call.perform(PostMessage(step.words))
        case Do.REACT:
            await call.perform(Reaction(step.words))
        case Do.LOSE_SOUND:
            raise Refused("sound can be lost in rooms in memory only")
        case _:
            raise Refused(f"nobody can {step.do} in a room")
