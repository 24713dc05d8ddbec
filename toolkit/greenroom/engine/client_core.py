"""Behind a client: one session, the rooms it is in, what is heard and said. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import replace

from greenroom.backends.base import Backend, Link, LinkChanged, Session
from greenroom.engine.call_audio import CallAudio
from greenroom.engine.folding import log_line, with_log
from greenroom.engine.membership import AboutRoom, Membership
from greenroom.engine.shared_source import SharedSource
from greenroom.engine.thread import EngineThread
from greenroom.errors import GreenroomError, Misuse, Refused
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import Block
from greenroom.media.playout import Playout
from greenroom.media.sinks import AudioSink, Null
from greenroom.media.sources import AudioSource, Silence
from greenroom.observable import Observable, Subscription
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import Join, Leave
from greenroom.protocol.room import may
from greenroom.protocol.wire import (
    AnswerBody,
    Emitted,
    FromServer,
    Happened,
    LossReport,
    MediaLost,
    PersonQuality,
    Pulse,
    QueryRooms,
    Question,
    Removed,
    RoomsChanged,
    RoomsPage,
    Snapshot,
    Welcome,
)
from greenroom.state.call import CallPhase, CallState
from greenroom.state.devices import DevicesState, microphone_reason
from greenroom.state.engine import ClientState, ConnectionPhase, LogLine
from greenroom.views.devices import device_words

LEAVE_SECONDS = 3.0

log = logging.getLogger(__name__)
_LEVELS_EVERY_SECONDS = 0.1
_STATISTICS_EVERY_SAMPLES = 20


class ClientCore:
    """What is behind a `Client`: its session, its memberships, its sound. Everything here is for the engine's loop."""

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        source: AudioSource | None,
        sink: AudioSink | None,
        devices: AudioSession | None,
        audio_configuration: AudioConfiguration | None,
        several: bool,
        thread: EngineThread,
        paced: bool,
    ) -> None:
        self.state: Observable[ClientState] = Observable(ClientState(name=name, server=backend.server))
        self.several = several
        self.devices = devices
        self.memberships: dict[Cid, Membership] = {}
        self.session: Session | None = None
        self.closed = False
        self._backend = backend
        self._thread = thread
        self._audio_configuration = audio_configuration
        self._microphone = devices.microphone() if devices is not None and source is None else None
        self._speaker = devices.speaker() if devices is not None and sink is None else None
        self.source = SharedSource(source or self._microphone or Silence())
        self.playout = Playout(sink or self._speaker or Null())
        self.playout.tap(self._hear)
        self._paced = paced
        self._lock: asyncio.Lock | None = None
        self._taps: dict[Cid, list[Callable[[UserId, Block], None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._asking_rooms: asyncio.Task[None] | None = None
        self._watching_devices: Subscription | None = None
        self._rooms_asked = False

    def session_open(self) -> Session:
        """Return the session. Raises `Misuse` before there is one, and after."""
        if self.session is None:
            raise Misuse(
                "this client is closed; make another one" if self.closed else "this client is not connected"
            )
        return self.session

    async def ask(self, question: Question) -> AnswerBody:
        """Return the answer to `question`."""
        await self.connect(None)
        return await self.session_open().ask(question)

    async def connect(self, cid: Cid | None) -> None:
        """Connect unless that was done; `cid` is the room a guest comes for."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self.session is not None:
                return
            session = self._backend.session(cid)
            self._change(connection=ConnectionPhase.CONNECTING, error=None)
            try:
                welcome = await session.open(self)
            except BaseException as error:
                words = str(error) if isinstance(error, GreenroomError) else None
                self._change(connection=ConnectionPhase.OFFLINE, error=words)
                await session.close()
                raise
            self.session = session
            self._welcomed(welcome)
            self._watch_devices()
            self._tasks.append(asyncio.create_task(_kept_going(self._sample)))
            if self._paced:
                self._tasks.append(asyncio.create_task(_kept_going(self.playout.run)))

    async def join(
        self, cid: Cid, microphone: bool | None = None, audio: AudioConfiguration | None = None
    ) -> Membership:
        """Come into a room, after leaving others unless several are allowed; in it already: the same membership."""
        before = self.memberships.get(cid)
        if before is not None and before.state.value.phase is not CallPhase.LEFT:
            return before
        if not self.several:
            for other in tuple(self.memberships.values()):
                if other.state.value.phase is not CallPhase.LEFT:
                    await self.leave(other, "replaced")
        session = self.session_open()
        membership = Membership(
            cid,
            self.state.value.user,
            session,
            self.source,
            self.playout,
            self,
            CallAudio(audio, self._audio_configuration),
        )
        self.memberships.pop(cid, None)
        self.memberships[cid] = membership
        membership.joining()
        try:
            await session.do(cid, Join())
        except BaseException as error:
            await membership.end(str(error))
            self.forget(cid)
            raise
        try:
            membership.enter()
        except Refused as error:
            await self.leave(membership, str(error))
            raise
        room = membership.state.value.room
        if microphone is None and room is not None:
            microphone = room.settings.audio.microphone_default_on and may(
                room, membership.state.value.me, Capability.SEND_AUDIO
            )
        membership.joined(bool(microphone))
        return membership

    async def leave(self, membership: Membership, reason: str | None) -> None:
        """Leave a room and forget it; `reason` is set when that was not the person's own wish."""
        if membership.state.value.phase is CallPhase.LEFT:
            self.forget(membership.cid)
            return
        await membership.end(reason)
        with contextlib.suppress(Refused):  # gone already is what was wanted
            await self.session_open().do(membership.cid, Leave())
        if self.memberships.get(membership.cid) is membership:
            self.forget(membership.cid)

    def forget(self, cid: Cid) -> None:
        """Forget a room that was left; one we are in, or never were, is quiet."""
        membership = self.memberships.get(cid)
        if membership is not None and membership.state.value.phase is CallPhase.LEFT:
            del self.memberships[cid]
            self._taps.pop(cid, None)
            calls = {kept: state for kept, state in self.state.value.calls.items() if kept != cid}
            self._change(calls=calls)

    async def close(self) -> None:
        """Leave everything and hang up."""
        reachable = self.state.value.connection is ConnectionPhase.ONLINE
        for membership in tuple(self.memberships.values()) if reachable else ():
            with contextlib.suppress(GreenroomError, TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self.leave(membership, None)
        for membership in tuple(self.memberships.values()):
            await membership.end(None)
        tasks = [*self._tasks, *([self._asking_rooms] if self._asking_rooms else [])]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self.session = self.session, None
        if session is not None:
            await session.close()
        self._give_devices_back()
        self._change(connection=ConnectionPhase.OFFLINE)

    def _welcomed(self, welcome: Welcome) -> None:
        self._change(
            user=welcome.user,
            name=welcome.name,
            role=welcome.role,
            connection=ConnectionPhase.ONLINE,
            reconnect_attempt=0,
            retry_at=None,
            error=None,
        )
        for cid in welcome.resumed:
            if (membership := self.memberships.get(cid)) is not None:
                membership.back()

    def received(self, message: FromServer) -> None:
        """Take what the server tells."""
        match message:
            case Welcome():
                self._welcomed(message)
            case RoomsChanged():
                self.refresh_rooms()
            case (
                Snapshot()
                | Happened()
                | Pulse()
                | PersonQuality()
                | LossReport()
                | Emitted()
                | MediaLost()
                | Removed()
            ):
                self._receive_about_room(message)
            case _:
                pass

    def _receive_about_room(self, message: AboutRoom) -> None:
        membership = self.memberships.get(message.cid)
        if membership is not None:
            membership.receive(message)

    def link_changed(self, change: LinkChanged) -> None:
        """Take that the connection was lost, is back, or ended."""
        phases = {
            Link.ONLINE: ConnectionPhase.ONLINE,
            Link.RECONNECTING: ConnectionPhase.RECONNECTING,
            Link.OFFLINE: ConnectionPhase.OFFLINE,
        }
        self._change(
            connection=phases[change.link],
            reconnect_attempt=change.attempt,
            retry_at=change.retry_at,
            error=change.reason or None,
        )
        if change.reason:
            self.log((log_line(change.reason, time.time()),))
        for membership in tuple(self.memberships.values()):
            if change.link is Link.RECONNECTING:
                membership.reconnecting(change.attempt)
            elif change.link is Link.OFFLINE:
                membership.spawn(membership.end(change.reason or "the connection ended"))

    def refresh_rooms(self) -> None:
        """Ask for the rooms once; what changes while an answer is on its way is asked for after it."""
        self._rooms_asked = True
        if self._asking_rooms is None or self._asking_rooms.done():
            self._asking_rooms = asyncio.get_running_loop().create_task(self._ask_rooms())

    async def _ask_rooms(self) -> None:
        while self._rooms_asked:
            self._rooms_asked = False
            with contextlib.suppress(GreenroomError):
                page = await self.session_open().ask(QueryRooms())
                if isinstance(page, RoomsPage):
                    self._change(rooms=page.rooms)

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        samples = 0
        while True:
            samples += 1
            statistics = samples % _STATISTICS_EVERY_SAMPLES == 0
            for membership in tuple(self.memberships.values()):
                membership.sample(time.time(), statistics)
            deadline = max(deadline + _LEVELS_EVERY_SECONDS, loop.time())
            await asyncio.sleep(deadline - loop.time())

    def _hear(self, call_id: str, number: int, block: Block) -> None:
        cid = Cid(call_id)
        membership = self.memberships.get(cid)
        if membership is None:
            return
        user = membership.user_of(number)
        if user is None:
            return  # the room has not told us yet who that is
        membership.ears.hear(user, block)
        for heard in tuple(self._taps.get(cid, ())):
            try:
                heard(user, block)
            except Exception:  # somebody else's function must not end everybody's sound
                log.exception("a tap raised and is not called again")
                self._taps[cid].remove(heard)

    def tap(self, membership: Membership, heard: Callable[[UserId, Block], None]) -> Callable[[], None]:
        """Call `heard` for everybody's blocks in this room; return how to stop that."""
        taps = self._taps.setdefault(membership.cid, [])
        taps.append(heard)
        return lambda: taps.remove(heard) if heard in taps else None

    def _watch_devices(self) -> None:
        if self.devices is not None and self._watching_devices is None:
            self._watching_devices = self.devices.state.subscribe(
                lambda devices: self._thread.call_soon(lambda: self._devices_changed(devices))
            )

    def _devices_changed(self, devices: DevicesState) -> None:
        before = self.state.value.devices
        self._change(devices=devices)
        lines = [log_line(words, time.time()) for words in device_words(before, devices)]
        if lines:
            self.log(tuple(lines))
        for membership in tuple(self.memberships.values()):
            membership.microphone_changed()

    def microphone_missing(self) -> str:
        """Return why there is no microphone, or "" where there is one."""
        devices = self.state.value.devices
        if devices is None or self._microphone is None or self.source.source is not self._microphone:
            return ""
        return microphone_reason(devices.microphone)

    def _give_devices_back(self) -> None:
        if self._watching_devices is not None:
            self._watching_devices.close()
        if self._microphone is not None:
            self._microphone.close()
        if self._speaker is not None:
            self._speaker.close()

    def _replace_source(self, source: AudioSource) -> None:
        self.source.replace(source)

    def _change(self, **fields: Any) -> None:
        self.state.set(replace(self.state.value, **fields))

    def log(self, lines: tuple[LogLine, ...]) -> None:
        """Add lines to the log."""
        state = with_log(self.state.value, lines)
        self.state.set(state)

    def seen(self) -> Mapping[Cid, tuple[int, int]]:
        """Return the last (epoch, seq) folded of each room."""
        return {
            cid: (membership.replica.epoch, membership.replica.seq)
            for cid, membership in self.memberships.items()
            if membership.replica.room is not None and membership.state.value.phase is not CallPhase.LEFT
        }

    def call_changed(self, cid: Cid, state: CallState) -> None:
        """Show a membership's new state."""
        membership = self.memberships.get(cid)
        if membership is not None and membership.state.value is state:
            self._change(calls={**self.state.value.calls, cid: state})


async def _kept_going(work: Callable[[], Awaitable[None]]) -> None:
    """Run what never ends by itself; after a fault of ours it is logged and begins again."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("sound or its measurement stopped; it begins again")
            await asyncio.sleep(0.1)
