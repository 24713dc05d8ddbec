"""A way of being in rooms: what every backend offers the engine, and what the engine offers it.

`loopback` is in memory, `sfu` is a Greenroom server. One contract suite runs over both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from greenroom.errors import Refused
from greenroom.media.blocks import FRAME, Block
from greenroom.media.sources import AudioSource
from greenroom.media.statistics import MediaStatistics
from greenroom.protocol.ice import IceServer
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import PeerSignal
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.requests import Request
from greenroom.protocol.wire import AnswerBody, FromServer, Question, Signal, Welcome
from greenroom.state.audio import EffectiveAudio, LiveAudio

IceTransport = Literal["all", "relay"]
"""By which addresses sound may go straight to another person (WebRTC 1.0, 4.2.4): all, or those of a relay only."""


class Link(StrEnum):
    """Whether the other side can be reached right now."""

    ONLINE = "online"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"


class LinkChanged(msgspec.Struct, frozen=True):
    """`attempt` counts from 1 while reconnecting; the next is made at `retry_at` (wall clock). `reason` is for people."""

    link: Link
    attempt: int = 0
    retry_at: float | None = None
    reason: str = ""


class Listener(Protocol):
    """The engine's ear. Both callbacks come on the engine's loop, in order, and must not wait."""

    def received(self, message: FromServer) -> None:
        """Take what the room or the server tells; answers to requests do not come this way."""

    def link_changed(self, change: LinkChanged) -> None:
        """Take that the connection was lost, is back, or ended for good."""

    def seen(self) -> Mapping[Cid, tuple[int, int]]:
        """Return the last (epoch, seq) folded of each room, for a resume."""


class Media(Protocol):
    """The sound of one call. `greenroom.media.connection.MediaConnection` is one; loopback has another."""

    async def offer(self, video_lines: int = 0) -> str: ...

    async def accept(self, answer: str) -> None: ...

    async def wait_connected(self, timeout_seconds: float = 10.0) -> None: ...

    async def close(self) -> None: ...

    @property
    def connected(self) -> bool: ...

    @property
    def microphone_open(self) -> bool: ...

    @property
    def own_level_dbfs(self) -> float: ...

    @property
    def own_voice(self) -> bool: ...

    @property
    def source_error(self) -> str | None: ...

    def set_microphone(self, open_: bool) -> None: ...

    def set_live(self, live: LiveAudio) -> None: ...

    def replace_source(self, source: AudioSource) -> None: ...

    def pull(self, frames: int = FRAME) -> dict[int, Block]: ...

    def levels(self) -> Mapping[int, float]: ...

    def statistics(self) -> MediaStatistics: ...


class DirectMedia(Media, Protocol):
    """Sound straight to one other person: `greenroom.media.peer_to_peer.DirectConnection`."""

    partner: int
    """Under which number they are heard."""

    async def answer(self, offer: str) -> str: ...

    async def add_candidate(self, candidate: str) -> None: ...

    def set_audible(self, audible: bool) -> None: ...

    def give_up(self, reason: str) -> None: ...

    @property
    def relayed(self) -> bool: ...


class Session(Protocol):
    """One person's connection. All methods belong to the engine's loop; `close` twice is quiet.

    A session reconnects by itself: requests made or waiting meanwhile are sent again and have one effect, rooms
    joined are joined again where the other side has let go of them, and their snapshots reach the listener.
    """

    async def open(self, listener: Listener) -> Welcome:
        """Connect. Raises `Unreachable` or `Unauthorized`."""

    async def do(self, cid: Cid, request: Request) -> None:
        """Return when the request is accepted and kept. Raises `Refused` or `Unreachable`."""

    async def ask(self, question: Question) -> AnswerBody:
        """Return the answer. Raises `Refused` or `Unreachable`."""

    async def attach(self, cid: Cid, offer: str) -> str:
        """Return the answer to a media offer. Raises `Refused` or `Unreachable`; not repeated after a reconnect."""

    def emit(self, cid: Cid, signal: Signal) -> None:
        """Send a signal that may be lost."""

    def tell_peer(self, cid: Cid, to: UserId, signal: PeerSignal) -> None:
        """Pass a signal towards a direct way on to the other person of a room; it may be lost."""

    def sync(self, cid: Cid, epoch: int, seq: int) -> None:
        """Ask for what is missing after (epoch, seq)."""

    def watch_rooms(self, on: bool) -> None:
        """Be told (`RoomsChanged`) when the list of rooms changes; survives a reconnect."""

    def media(
        self, cid: Cid, source: AudioSource, on_dead: Callable[[str], None], audio: EffectiveAudio
    ) -> Media:
        """Return sound for a room, made as `audio` says, not connected yet. `source` stays the caller's to close."""

    def direct(
        self,
        partner: int,
        source: AudioSource,
        audio: EffectiveAudio,
        ice_servers: Sequence[IceServer],
        on_candidate: Callable[[str], None],
        on_dead: Callable[[str], None],
    ) -> DirectMedia | None:
        """Return sound straight to the person heard as `partner`, not connected yet; None where there is no such way."""

    async def close(self) -> None:
        """Go; rooms joined are left by the grace period unless they were left before."""


class Backend(Protocol):
    """Makes sessions. `server` is what people are shown."""

    @property
    def server(self) -> str: ...

    @property
    def needs_room(self) -> bool:
        """Whether a connection can only be made for a room, because a guest has no token yet."""

    def session(self, cid: Cid | None = None) -> Session:
        """Return a session that is not open yet; `cid` is the room it is meant for, where a guest needs to say it."""


def refused(refusal: Refusal) -> Refused:
    """Return a refusal as what the public edge raises."""
    return Refused(
        refusal.message,
        reason=refusal.reason.value,
        missing=None if refusal.missing is None else refusal.missing.value,
        requestable=refusal.requestable,
    )
