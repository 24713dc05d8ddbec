"""Keeps one call's sound connected: attaches, and attaches again whenever it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from greenroom.backends.base import Media, Session
from greenroom.engine.shared_source import Branch, SharedSource
from greenroom.errors import GreenroomError, Refused
from greenroom.media.playout import Playout
from greenroom.policies.audio_config import resolve
from greenroom.policies.reconnect import next_attempt
from greenroom.protocol.ids import Cid
from greenroom.protocol.refusals import Reason
from greenroom.state.audio import EffectiveAudio, LiveAudio
from greenroom.state.call import MediaPhase

CONNECT_SECONDS = 10.0
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
    ) -> None:
        self._cid = cid
        self._session = session
        self._source = source
        self._playout = playout
        self._on_phase = on_phase
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
        if live != self._live:
            self._live = live
            if self.current is not None:
                self.current.set_live(live)

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

    async def close(self) -> None:
        """End the sound; twice is quiet."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
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
        await self._drop()
        self._on_phase(MediaPhase.CONNECTING, "")
        branch = self._branch = self._source.branch()
        media = self._session.media(self._cid, branch, self._died, self._audio)
        if self._live is not None:
            media.set_live(self._live)
        self.current = media
        answer = await self._session.attach(self._cid, await media.offer(self.video_lines))
        await media.accept(answer)
        await media.wait_connected(CONNECT_SECONDS)
        media.set_microphone(self._microphone)
        self._playout.add(self._cid, media, self._gain, self._pan)
        self._on_phase(MediaPhase.CONNECTED, "")

    def _died(self, reason: str) -> None:
        log.info("sound of a call was lost: %s", reason)
        self._on_phase(MediaPhase.LOST, reason)
        self.attach()

    async def _drop(self) -> None:
        media, self.current = self.current, None
        branch, self._branch = self._branch, None
        if media is not None:
            with contextlib.suppress(Exception):  # it is closed in any case
                media.set_microphone(False)
            await media.close()
        if branch is not None:
            branch.close()
