"""Behind a client: one session, the rooms it is in, what is heard and said. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from greenroom.backends.base import Backend, Link, LinkChanged, Session
from greenroom.engine.audio_director import AudioDirector
from greenroom.engine.call_audio import CallAudio
from greenroom.engine.connecting import Opening
from greenroom.engine.folding import log_line, with_log
from greenroom.engine.membership import AboutRoom, Membership
from greenroom.engine.own_sound import OwnSound
from greenroom.engine.ringing import Ringing
from greenroom.engine.session import SessionLife
from greenroom.engine.sessions import Sessions
from greenroom.engine.thread import EngineThread
from greenroom.engine.volumes import Volumes
from greenroom.errors import GreenroomError, Misuse, Refused
from greenroom.media.audio_session import AudioSession
from greenroom.media.sinks import AudioSink
from greenroom.media.sources import AudioSource
from greenroom.observable import Observable
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.policies.preferences import CallPreferences
from greenroom.protocol.ids import Cid
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import Join, Leave
from greenroom.protocol.room import may
from greenroom.protocol.wire import (
    AnswerBody,
    Emitted,
    FromPeer,
    FromServer,
    Happened,
    LossReport,
    MediaLost,
    MissedCalls,
    PersonQuality,
    Pulse,
    QueryRooms,
    Question,
    Removed,
    RingChanged,
    Rings,
    RoomsChanged,
    RoomsPage,
    Snapshot,
    Welcome,
)
from greenroom.state.call import CallPhase, CallState
from greenroom.state.devices import DevicesState
from greenroom.state.engine import ClientState, ConnectionPhase, LogLine
from greenroom.state.focus import Focus, MultiCallPolicy
from greenroom.views.calls import focus_words
from greenroom.views.devices import device_words

LEAVE_SECONDS = 3.0

log = logging.getLogger(__name__)
_LEVELS_EVERY_SECONDS = 0.1
_STATISTICS_EVERY_SAMPLES = 20
_CHIME_SECONDS = 1.0
CHIME = "a tone to hear whether the loudspeaker plays"
_FADE_OUT_SECONDS = 0.04  # a block that is being sent, and one that fades


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
        preferences: CallPreferences | None = None,
        policy: MultiCallPolicy = MultiCallPolicy.SUSPEND_EXISTING,
        volumes: Path | None = None,
        thread: EngineThread,
        paced: bool,
    ) -> None:
        self.state: Observable[ClientState] = Observable(
            ClientState(name=name, server=backend.server, focus=Focus(several=several, policy=policy))
        )
        self.several = several
        self.memberships: dict[Cid, Membership] = {}
        self.director = AudioDirector(self.memberships, self._focus_changed, several=several, policy=policy)
        self.sessions = Sessions(preferences or CallPreferences(), self._here, self._complain)
        self.sessions.services.state.subscribe(
            lambda services: thread.call_soon(lambda: self._change(services=services)), replay=False
        )
        self.ringing = Ringing(self)
        self.session: Session | None = None
        self.closed = False
        self._backend = backend
        self._thread = thread
        self._audio_configuration = audio_configuration
        self.sound = OwnSound(self.memberships, self, source=source, sink=sink, devices=devices)
        self.volumes = Volumes(backend.server, volumes, self._volumes_changed, self.warn_everywhere)
        self._paced = paced
        self._lock: asyncio.Lock | None = None
        self._joining: dict[Cid, asyncio.Future[Membership]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._asking_rooms: asyncio.Task[None] | None = None
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
            if self.closed:  # others may keep the thread going: nobody would end what began now
                raise Misuse("this client is closed; make another one")
            session = self._backend.session(cid)
            self._change(connection=ConnectionPhase.CONNECTING, error=None)
            try:
                welcome = await session.open(self)
            except BaseException as error:
                words = str(error) if isinstance(error, GreenroomError) else None
                self._change(connection=ConnectionPhase.OFFLINE, error=words)
                await session.close()
                raise
            await self.volumes.load()
            self.session = session
            self._welcomed(welcome)
            self.sound.watch_devices(self._thread.call_soon)
            self._tasks.append(asyncio.create_task(_kept_going(self._sample)))
            if self._paced:
                self._tasks.append(asyncio.create_task(_kept_going(self.sound.playout.run)))

    async def join(
        self,
        cid: Cid,
        microphone: bool | None = None,
        audio: AudioConfiguration | None = None,
        opening: Opening | None = None,
    ) -> Membership:
        """Come into a room, after leaving others unless several are allowed; in it already: the same membership.

        Who asks while a join is under way gets what becomes of that one.
        """
        running = self._joining.get(cid)
        if running is not None:
            return await asyncio.shield(running)
        before = self.memberships.get(cid)
        if before is not None and before.state.value.phase is not CallPhase.LEFT:
            return before
        running = self._joining[cid] = asyncio.get_running_loop().create_future()
        running.add_done_callback(_looked_at)
        try:
            membership = await self._join(cid, microphone, audio, opening or Opening(SessionLife(cid)))
            running.set_result(membership)
            return membership
        except asyncio.CancelledError:
            running.cancel()
            raise
        except BaseException as error:
            running.set_exception(error)
            raise
        finally:
            del self._joining[cid]

    async def _join(
        self, cid: Cid, microphone: bool | None, audio: AudioConfiguration | None, opening: Opening
    ) -> Membership:
        if not self.several:
            for other in tuple(self.memberships.values()):
                if other.state.value.phase is not CallPhase.LEFT:
                    await self.leave(other, "replaced")
        session = self.session_open()
        preferred = self._audio_configuration or self.sessions.audio_configuration
        membership = Membership(
            cid,
            self.state.value.user,
            session,
            opening.source or self.sound.source,
            self.sound.playout,
            self,
            CallAudio(audio, preferred),
            opening.life,
            brings_sound=opening.source is not None,
            fade_out_seconds=_FADE_OUT_SECONDS if self._paced else 0.0,
            volumes=self.volumes,
        )
        self.memberships.pop(cid, None)
        self.memberships[cid] = membership
        self.director.begun(cid)
        membership.joining()
        try:
            await session.do(cid, Join())
        except BaseException as error:
            await membership.end(str(error))
            self.forget(cid)
            raise
        if membership.state.value.phase is CallPhase.LEFT:
            raise Refused(f"'{cid}' was left before it was joined", reason=Reason.NOT_JOINED.value)
        try:
            membership.enter()
        except Refused as error:
            await self.leave(membership, str(error))
            raise
        room = membership.state.value.room
        if microphone is None and room is not None:
            wish = opening.remembered
            if wish is None:
                wish = room.settings.audio.microphone_default_on
            microphone = wish and may(room, membership.state.value.me, Capability.SEND_AUDIO)
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
            self.sound.forget(cid)
            calls = {kept: state for kept, state in self.state.value.calls.items() if kept != cid}
            self._change(calls=calls)

    async def close(self) -> None:
        """Leave everything and hang up."""
        await self.ringing.close()
        self.director.stop()
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
        self.sound.close()
        await self.volumes.close()
        self._change(connection=ConnectionPhase.OFFLINE)
        self.sessions.listeners.clear()

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
        self.ringing.welcomed(welcome.now)
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
            case RingChanged() | Rings() | MissedCalls():
                self.ringing.received(message)
            case (
                Snapshot()
                | Happened()
                | Pulse()
                | PersonQuality()
                | LossReport()
                | Emitted()
                | FromPeer()
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
        if change.link is Link.OFFLINE:
            self.ringing.offline()
        if change.reason:
            self.log((log_line(change.reason, time.time()),))
        for membership in tuple(self.memberships.values()):
            if change.link is Link.OFFLINE and membership.state.value.phase is not CallPhase.LEFT:
                self.sessions.connection_closed([membership.cid], change.reason)
            if change.link is Link.RECONNECTING:
                membership.reconnecting(change.attempt)
            elif change.link is Link.OFFLINE:
                self.director.stop()
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
            self.sound.measure()
            deadline = max(deadline + _LEVELS_EVERY_SECONDS, loop.time())
            await asyncio.sleep(deadline - loop.time())

    def _volumes_changed(self) -> None:
        for membership in tuple(self.memberships.values()):
            if membership.state.value.phase is not CallPhase.LEFT:
                membership.volumes_changed()

    def warn_everywhere(self, words: str) -> None:
        """Log `words` and show them in every call."""
        self.log((log_line(words, time.time()),))
        for membership in tuple(self.memberships.values()):
            if membership.state.value.phase is not CallPhase.LEFT:
                membership.notice(words, "warning")

    def devices_changed(self, devices: DevicesState) -> None:
        """Take that devices came, went or were chosen."""
        before = self.state.value.devices
        self._change(devices=devices)
        here = [cid for cid in tuple(self.memberships) if self._here(cid)]
        self.sessions.devices_changed(before, devices, here)
        lines = [log_line(words, time.time()) for words in device_words(before, devices)]
        if lines:
            self.log(tuple(lines))
        for membership in tuple(self.memberships.values()):
            membership.devices_changed()
        self._follow_routes()

    def microphone_missing(self) -> str:
        """Return why there is no microphone, or "" where there is one."""
        return self.sound.microphone_missing(self.state.value.devices)

    def speaker_missing(self) -> str:
        """Return why there is no loudspeaker, or "" where there is one."""
        return self.sound.speaker_missing(self.state.value.devices)

    def sound_changed(self) -> None:
        """Take that our microphone is treated in another way."""
        for membership in tuple(self.memberships.values()):
            membership.sound_changed()

    def _follow_routes(self) -> None:
        wishes = {cid: one.state.value.audio for cid, one in self.memberships.items() if self._here(cid)}
        self.sound.follow_routes({cid: audio for cid, audio in wishes.items() if audio is not None})

    def _change(self, **fields: Any) -> None:
        self.state.set(replace(self.state.value, **fields))

    def log(self, lines: tuple[LogLine, ...]) -> None:
        """Add lines to the log."""
        state = with_log(self.state.value, lines)
        self.state.set(state)

    def note(self, words: str) -> None:
        """Write `words` into the log and show them in the focused call."""
        self.log((replace(log_line(words, time.time()), note=True),))
        focused = self.state.value.focus.focused
        membership = None if focused is None else self.memberships.get(focused)
        if membership is not None:
            membership.notice(words, "info")

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
        if membership is None or membership.state.value is not state:
            return
        before = self.state.value.calls.get(cid)
        self._change(calls={**self.state.value.calls, cid: state})
        self.sound.microphone.in_call(any(self._here(known) for known in self.memberships))
        self.sessions.call_changed(before, state)
        self.director.phase_changed(cid, state.phase)
        if before is None or (before.audio, before.phase) != (state.audio, state.phase):
            self._follow_routes()

    def session_over(self, cid: Cid, words: str) -> None:
        """Leave a room because its session ended by itself, for the reason in `words`."""
        membership = self.memberships.get(cid)
        if membership is not None:
            membership.spawn(self.leave(membership, words))

    def _here(self, cid: Cid) -> bool:
        membership = self.memberships.get(cid)
        return membership is not None and membership.state.value.phase not in (CallPhase.IDLE, CallPhase.LEFT)

    def _complain(self, words: str, cid: Cid) -> None:
        self.log((log_line(words, time.time(), cid),))

    def _focus_changed(self, before: Focus, after: Focus) -> None:
        """Show who has microphone and loudspeaker, and log it."""
        self._change(focus=after)
        told = focus_words(before, after, self.state.value.calls)
        lines = [log_line(words, time.time(), cid) for cid, words in told]
        if lines:
            self.log(tuple(lines))


def _looked_at(joined: asyncio.Future[Membership]) -> None:
    """Whoever asked for a join is told its error; nobody else needs to ask."""
    if not joined.cancelled():
        joined.exception()


async def _kept_going(work: Callable[[], Awaitable[None]]) -> None:
    """Run what never ends by itself; after a fault of ours it is logged and begins again."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("sound or its measurement stopped; it begins again")
            await asyncio.sleep(0.1)
