"""One try at sending sound straight to the other person of a room, and what becomes of it. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence

from greenroom.backends.base import DirectMedia, Session
from greenroom.errors import GreenroomError, MediaFailed
from greenroom.media.sources import AudioSource
from greenroom.policies.peer_to_peer import Straight, failure_words
from greenroom.protocol.ice import IceServer, IceServers, QueryIceServers
from greenroom.protocol.ids import Cid
from greenroom.protocol.peers import (
    Failure,
    PeerAnswer,
    PeerCandidate,
    PeerFailed,
    PeerOffer,
    PeerReady,
    PeerSignal,
)
from greenroom.state.audio import EffectiveAudio

DIRECT_SECONDS = 3.0
_SERVERS_SECONDS = 0.5
_MOST_WAITING = 32


class DirectWay:
    """Signals and a direct connection, until it is closed. `on_lost` is told in words when a path that stood is gone."""

    def __init__(self, cid: Cid, plan: Straight, session: Session, on_lost: Callable[[str], None]) -> None:
        self.plan = plan
        self._cid = cid
        self._session = session
        self._on_lost = on_lost
        self._media: DirectMedia | None = None
        self._attempt = ""
        self._offer: PeerOffer | None = None
        self._answered = False
        self._described = False
        self._found_early: list[str] = []
        self._signals: asyncio.Queue[PeerSignal] = asyncio.Queue(_MOST_WAITING)
        self._following: asyncio.Task[None] | None = None
        self._stands = False
        self._why = ""
        self._failure: Failure | None = Failure.NO_WAY

    @property
    def stands(self) -> bool:
        """Whether sound can flow; before and after it cannot."""
        return self._stands

    @property
    def relayed(self) -> bool:
        """Whether a relay carries the sound."""
        return self._media is not None and self._media.relayed

    async def open(
        self,
        source: AudioSource,
        audio: EffectiveAudio,
        video_lines: int = 0,
        said: Sequence[PeerSignal] = (),
    ) -> DirectMedia:
        """Return the connection once sound can flow. Raises `MediaFailed` within 3 s, with why in words.

        `said` is what the other person told us before.
        """
        for signal in said:
            self.heard(signal)
        try:
            async with asyncio.timeout(DIRECT_SECONDS):
                return await self._open(source, audio, video_lines)
        except TimeoutError:
            raise MediaFailed(self._why or failure_words(Failure.NO_WAY, self.plan.name)) from None
        except MediaFailed as error:
            raise MediaFailed(self._why or str(error)) from None

    def take(self, plan: Straight) -> None:
        """Follow what the room says of the same person now: their number, whether they may be heard."""
        self.plan = plan
        if self._media is not None:
            self._media.partner = plan.number
            self._media.set_audible(plan.audible)

    def heard(self, signal: PeerSignal) -> bool:
        """Take what the other person says; False when it asks for a new try."""
        match signal:
            case PeerOffer(attempt):
                if self.plan.offers or attempt == self._attempt:
                    return True
                if self._attempt:
                    return False
                self._attempt = attempt
            case PeerReady():
                if self._offer is not None and not self._answered:
                    self._tell(self._offer)  # they may have come too late for it
                return not (self.plan.offers and self._stands)
            case PeerAnswer(attempt):
                if attempt != self._attempt or self._answered or not self.plan.offers:
                    return True
                self._answered = True
            case PeerCandidate(attempt):
                if attempt != self._attempt:
                    return True
            case PeerFailed(reason, attempt):
                if attempt in ("", self._attempt):
                    self._failure = None  # they know
                    self.abandon(failure_words(reason, self.plan.name))
                return True
        with contextlib.suppress(asyncio.QueueFull):
            self._signals.put_nowait(signal)
        return True

    def abandon(self, why: str) -> None:
        """Give the path up, or the search for it, for `why`."""
        self._why = self._why or why
        if self._media is not None:
            self._media.give_up(why)

    async def close(self) -> None:
        """End it, and tell the other person why unless they know; twice is quiet."""
        failure, self._failure = self._failure, None
        if failure is not None:
            known = self._attempt if self._described or not self.plan.offers else ""
            self._tell(PeerFailed(Failure.UNWILLING if self._stands else failure, known))
        self._stands = False
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        media, self._media = self._media, None
        if media is not None:
            with contextlib.suppress(Exception):  # it is closed in any case
                media.set_microphone(False)
            await media.close()

    async def _open(self, source: AudioSource, audio: EffectiveAudio, video_lines: int) -> DirectMedia:
        servers = await self._ice_servers()
        media = self._session.direct(self.plan.number, source, audio, servers, self._found, self._ended)
        if media is None or self._why:
            raise MediaFailed(self._why or "there is no direct way here")
        self._media = media
        media.set_audible(self.plan.audible)
        if self.plan.offers:
            self._attempt = secrets.token_urlsafe(12)
            self._offer = PeerOffer(self._attempt, await media.offer(video_lines))
            self._tell(self._offer)
            self._tell_found()
        elif not self._attempt:
            self._tell(PeerReady())
        self._following = asyncio.get_running_loop().create_task(self._follow(media))
        await media.wait_connected(DIRECT_SECONDS)
        self._stands = True
        self._failure = Failure.LOST
        return media

    async def _ice_servers(self) -> tuple[IceServer, ...]:
        """Return what the server names; none where it does not answer at once: nothing waits for that."""
        with contextlib.suppress(GreenroomError, TimeoutError):
            async with asyncio.timeout(_SERVERS_SECONDS):
                answer = await self._session.ask(QueryIceServers())
                if isinstance(answer, IceServers):
                    return answer.servers
        return ()

    async def _follow(self, media: DirectMedia) -> None:
        """Do what the other person's signals say, in order."""
        try:
            while True:
                match await self._signals.get():
                    case PeerOffer(_, sdp):
                        self._tell(PeerAnswer(self._attempt, await media.answer(sdp)))
                        self._tell_found()
                    case PeerAnswer(_, sdp):
                        await media.accept(sdp)
                    case PeerCandidate(_, candidate):
                        await media.add_candidate(candidate)
        except GreenroomError as error:
            self._failure = Failure.UNREADABLE
            self.abandon(str(error))

    def _found(self, candidate: str) -> None:
        self._found_early.append(candidate)
        if self._described:
            self._tell_found()

    def _tell_found(self) -> None:
        self._described = True
        found, self._found_early = self._found_early, []
        for candidate in found:
            self._tell(PeerCandidate(self._attempt, candidate))

    def _ended(self, reason: str) -> None:
        self._why = self._why or reason
        if self._stands:
            self._stands = False
            self._on_lost(self._why)

    def _tell(self, signal: PeerSignal) -> None:
        self._session.tell_peer(self._cid, self.plan.partner, signal)
