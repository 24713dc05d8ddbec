"""Keeps one call's sound connected: attaches, and attaches again whenever it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from greenroom.backends.base import Media, Session
from greenroom.engine.direct_way import DirectWay
from greenroom.engine.shared_source import Branch, SharedSource
from greenroom.engine.ways import Asked, Ways
from greenroom.errors import GreenroomError, MediaFailed, Refused
from greenroom.media.playout import Playout
from greenroom.policies.audio_config import resolve
from greenroom.policies.peer_to_peer import Straight, ThroughServer, Waiting, WayPlan
from greenroom.policies.reconnect import next_attempt
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import Failure, PeerFailed, PeerSignal
from greenroom.protocol.refusals import Reason
from greenroom.protocol.room import Room
from greenroom.state.audio import Acting, EffectiveAudio, LiveAudio
from greenroom.state.call import MediaPhase
from greenroom.state.path import MediaPath, Way

CONNECT_SECONDS = 10.0
COME_BACK_SECONDS = 15.0
"""How long sound goes on straight to somebody who is not back yet in the room of a server that began anew."""
CANCEL_SECONDS = 0.5
_FINAL = {Reason.NOT_JOINED, Reason.NOT_FOUND, Reason.ENDED, Reason.BLOCKED}

log = logging.getLogger(__name__)


class CallMedia:
    """The sound of one call, over as many media connections as it takes, one at a time. Lives on the engine's loop."""

    def __init__(
        self,
        cid: Cid,
        session: Session,
        source: SharedSource,
        playout: Playout,
        on_phase: Callable[[MediaPhase, str], None],
        on_path: Callable[[MediaPath], None] = lambda _: None,
    ) -> None:
        self._cid = cid
        self._session = session
        self._source = source
        self._playout = playout
        self._on_phase = on_phase
        self._on_path = on_path
        self._ways = Ways()
        self._direct: DirectWay | None = None
        self._target: type[WayPlan] | None = None
        self._waits_for_them: asyncio.TimerHandle | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._branch: Branch | None = None
        self._microphone = False
        self._gain, self._pan = 1.0, 0.0
        self._audio = resolve()
        self._live: LiveAudio | None = None
        self.video_lines = 0
        self.current: Media | None = None

    def configure(self, audio: EffectiveAudio, live: LiveAudio) -> None:
        """Send as `live` says from the next packet on; connections made later are as `audio` says."""
        self._audio = audio
        if self._branch is not None:
            self._branch.treat(audio.processing)
        if live != self._live:
            self._live = live
            if self.current is not None:
                self.current.set_live(live)

    def acting(self, audio: EffectiveAudio) -> Acting:
        """Return what really happens to our microphone's sound as `audio` wishes."""
        return self._source.acting(audio.processing, music=audio.music)

    def attach(self) -> None:
        """Connect sound, or connect it anew."""
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    def set_microphone(self, open_: bool) -> None:
        """Open or close the gate; a connection made later begins like this."""
        self._microphone = open_
        if self.current is None or self.current.microphone_open == open_:
            return
        try:
            self.current.set_microphone(open_)
        except Exception:  # a gate that does not move must not stay open: the connection is made anew
            log.exception("a microphone could not be switched")
            asyncio.get_running_loop().call_soon(self._died, "the microphone could not be switched")

    def set_hearing(self, gain: float, pan: float, seconds: float) -> None:
        """Move what is heard to `gain` (linear) and `pan` within `seconds`; a connection made later begins like this."""
        self._gain, self._pan = gain, pan
        self._playout.set_gain(self._cid, gain, seconds)
        self._playout.set_pan(self._cid, pan, seconds)

    def follow_room(self, room: Room | None, me: UserId) -> None:
        """Take the way that fits the room as it is now."""
        self._ways.follow(room, me)
        self._follow_plan()

    def peer_said(self, user: UserId, signal: PeerSignal) -> None:
        """Take what the other person of a room says about a direct way."""
        way = self._direct
        if way is not None and way.plan.partner == user and way.heard(signal):
            return
        match self._ways.said(user, signal):
            case Asked.ANOTHER_TRY if self._task is not None:
                if way is not None and not way.stands:
                    way.abandon("they began anew")
                self.attach()
            case Asked.TOO_MUCH:
                self._session.tell_peer(self._cid, user, PeerFailed(Failure.UNWILLING))
            case _:
                self._follow_plan()

    def forwarding_lost(self, reason: str = "") -> None:
        """Connect anew if it was the server that carried our sound; a way that needs no server stays."""
        if self._target in (None, ThroughServer):
            if reason:
                self._on_phase(MediaPhase.LOST, reason)
            self.attach()

    def refresh_path(self) -> None:
        """Say which way sound goes, as it may change while it goes directly."""
        way = self._direct
        if way is not None and way.stands:
            self._on_path(MediaPath(Way.RELAYED, "through a relay") if way.relayed else MediaPath(Way.DIRECT))

    async def close(self) -> None:
        """End the sound; twice is quiet."""
        if self._waits_for_them is not None:
            self._waits_for_them.cancel()
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # again if need be: what is awaited below us may forget one that comes at a bad moment
            await asyncio.wait((task,), timeout=CANCEL_SECONDS)
        self._playout.remove(self._cid)
        await self._drop()

    async def _keep(self) -> None:
        attempt = 0
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._connect()
                attempt = 0
            except GreenroomError as error:
                await self._drop()
                self._on_phase(MediaPhase.LOST, str(error))
                if isinstance(error, Refused) and error.reason in _FINAL:
                    continue
                attempt += 1
                self._wanted.clear()  # a death while connecting asked for this attempt's successor already
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(next_attempt(attempt, random.random())):
                        await self._wanted.wait()
                self._wanted.set()

    async def _connect(self) -> None:
        self._target = None
        await self._drop()
        await self._source.prepare()
        plan = self._ways.plan
        if isinstance(plan, Straight):
            self._target = Straight
            if await self._connect_directly(plan):
                return
            plan = self._ways.plan
        self._target = type(plan)
        match plan:
            case Straight():  # somebody else came meanwhile
                self.attach()
            case Waiting():
                self._on_path(MediaPath(Way.NONE, "nobody else is here yet"))
                self._on_phase(MediaPhase.NONE, "")
            case ThroughServer():
                self._on_path(MediaPath(Way.NONE, plan.reason))
                await self._connect_to_server()
                self._follow_plan()

    async def _connect_directly(self, plan: Straight) -> bool:
        """Tell whether sound flows straight to the other person; otherwise the plan is another one now."""
        self._on_phase(MediaPhase.CONNECTING, "")
        self._on_path(MediaPath(Way.NONE, f"looking for a direct way to {plan.name}"))
        self._ways.tried(plan)
        branch = self._branch = self._source.branch(self._audio.processing)
        way = self._direct = DirectWay(self._cid, plan, self._session, self._direct_lost)
        try:
            media = await way.open(branch, self._audio, self.video_lines, self._ways.take_early(plan))
        except MediaFailed as error:
            self._target = None
            if not self._ways.asked_anew:
                self._ways.give_up(way.plan, str(error))
            await self._drop()
            return False
        if self._live is not None:
            media.set_live(self._live)
        self.refresh_path()
        self._play(media)
        return True

    async def _connect_to_server(self) -> None:
        self._on_phase(MediaPhase.CONNECTING, "")
        branch = self._branch = self._source.branch(self._audio.processing)
        media = self._session.media(self._cid, branch, self._died, self._audio)
        if self._live is not None:
            media.set_live(self._live)
        self.current = media
        answer = await self._session.attach(self._cid, await media.offer(self.video_lines))
        await media.accept(answer)
        await media.wait_connected(CONNECT_SECONDS)
        if isinstance(self._ways.plan, ThroughServer):
            self._on_path(MediaPath(Way.FORWARDED, self._ways.plan.reason))
        self._play(media)

    def _play(self, media: Media) -> None:
        self.current = media
        media.set_microphone(self._microphone)
        self._playout.add(self._cid, media, self._gain, self._pan)
        self._on_phase(MediaPhase.CONNECTED, "")

    def _follow_plan(self) -> None:
        """Leave the way we go, or look for, where the plan is another one."""
        plan, way = self._ways.plan, self._direct
        if way is not None:
            if isinstance(plan, Straight) and plan.partner == way.plan.partner:
                way.take(plan)
            elif way.stands and self._ways.came_anew:
                if self._waits_for_them is None:
                    loop = asyncio.get_running_loop()
                    self._waits_for_them = loop.call_later(COME_BACK_SECONDS, self._stop_waiting)
            elif way.stands:
                self.attach()
            else:
                way.abandon(plan.reason if isinstance(plan, ThroughServer) else "they are gone")
        elif self._task is not None and self._target is not None and not isinstance(plan, self._target):
            self.attach()
        elif isinstance(plan, ThroughServer) and self.current is not None and self.current.connected:
            self._on_path(MediaPath(Way.FORWARDED, plan.reason))

    def _stop_waiting(self) -> None:
        self._waits_for_them = None
        if self._direct is not None and isinstance(self._ways.plan, Waiting):
            self.attach()

    def _direct_lost(self, reason: str) -> None:
        log.info("a direct way was lost")
        if self._direct is not None:
            self._ways.give_up(self._direct.plan, reason)
        self._on_phase(MediaPhase.LOST, reason)
        self.attach()

    def _died(self, reason: str) -> None:
        log.info("sound of a call was lost: %s", reason)
        self._on_phase(MediaPhase.LOST, reason)
        self.attach()

    async def _drop(self) -> None:
        way, self._direct = self._direct, None
        if way is not None:
            await way.close()
        media, self.current = self.current, None
        branch, self._branch = self._branch, None
        if media is not None:
            with contextlib.suppress(Exception):  # it is closed in any case
                media.set_microphone(False)
            await media.close()
        if branch is not None:
            branch.close()
