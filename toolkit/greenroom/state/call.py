"""Our side of one room: connection, what I may do, my microphone, what is heard."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Participant, Room, capabilities, hand_position
from greenroom.protocol.wire import Quality
from greenroom.state.audio import EffectiveAudio, LiveAudio
from greenroom.state.call_settings import JOINED_WITHOUT_SETTINGS, CallSettings
from greenroom.state.focus import ALL, Hearing, Share
from greenroom.state.idle import Idle
from greenroom.state.layout import CallView
from greenroom.state.path import MediaPath
from greenroom.state.recent import Happening
from greenroom.state.statistics import CallStatistics, LineQuality

LEVEL_HISTORY = 10


class CallPhase(StrEnum):
    """Where a call is in its life."""

    IDLE = "idle"
    JOINING = "joining"
    JOINED = "joined"
    RECONNECTING = "reconnecting"
    LEFT = "left"


class MediaPhase(StrEnum):
    """Whether sound flows."""

    NONE = "none"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


class Microphone(msgspec.Struct, frozen=True):
    """`wish`: what the person wants; `open`: whether the microphone really sends; `reason`: why not, in words.

    The rest has a say too: we may speak here (`permitted`), this call is not `suspended` and is the one that has the
    microphone (`held`), no moderator's mute stands (`moderated`), there is a `device`, and sound is `connected`.
    """

    wish: bool = False
    open: bool = False
    reason: str = "switched off"
    permitted: bool = False
    suspended: bool = False
    held: bool = True
    moderated: bool = False
    device: bool = True
    connected: bool = False


class ShownReaction(msgspec.Struct, frozen=True):
    user: UserId
    name: str
    emoji: str
    at: float


class Notice(msgspec.Struct, frozen=True):
    """Something the person should be told. `tone`: info, good, warning or bad."""

    id: int
    at: float
    text: str
    tone: str = "info"


class CallState(msgspec.Struct, frozen=True):
    """One immutable picture of a call. `room` is the replica's; None until the first snapshot.

    `audio` is what our sound is made of, None before we are in. `path` says which way it goes, and why.
    `settings` are those the session was started with, `view` how I look at it, `idle` how near it is to ending by itself.
    `share` is what this call is given of microphone and loudspeaker, `hearing` what becomes of it for our ears.
    `recent` is what happened lately around who may speak and does, oldest first.
    `lines` says how good everybody's line is and why, `quality` the same in a word.
    `live_audio` is what is sent with now; `volumes` has the gains of those who are not as loud as sent, `muted_for_me`
    those who are silent, for me alone.
    `levels` are dBFS of those heard now; `level_history` the last ten of each, oldest first.
    """

    cid: Cid
    me: UserId
    phase: CallPhase = CallPhase.IDLE
    room: Room | None = None
    microphone: Microphone = Microphone()
    suspended: bool = False
    media: MediaPhase = MediaPhase.NONE
    path: MediaPath = MediaPath()
    levels: Mapping[UserId, float] = {}
    level_history: Mapping[UserId, tuple[float, ...]] = {}
    speaking: frozenset[UserId] = frozenset()
    dominant: UserId | None = None
    quality: Mapping[UserId, Quality] = {}
    lines: Mapping[UserId, LineQuality] = {}
    volumes: Mapping[UserId, float] = {}
    muted_for_me: frozenset[UserId] = frozenset()
    audio: EffectiveAudio | None = None
    live_audio: LiveAudio | None = None
    statistics: CallStatistics | None = None
    reactions: tuple[ShownReaction, ...] = ()
    typing: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    left_reason: str | None = None
    reconnect_attempt: int = 0
    share: Share = ALL
    hearing: Hearing = Hearing()
    recent: tuple[Happening, ...] = ()
    settings: CallSettings = JOINED_WITHOUT_SETTINGS
    view: CallView = CallView()
    idle: Idle = Idle()

    @property
    def myself(self) -> Participant | None:
        """Me as the room has me; None while I am not in it."""
        return None if self.room is None else self.room.participants.get(self.me)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What I may do here; empty until the room is known."""
        if self.room is None or self.myself is None:
            return frozenset()
        return capabilities(self.room, self.me)

    @property
    def hand_position(self) -> int | None:
        """My place in the queue of hands, from 1; None without a hand up."""
        return None if self.room is None else hand_position(self.room, self.me)

    @property
    def invited(self) -> bool:
        """Whether an invitation to the stage waits for my answer."""
        return self.room is not None and self.me in self.room.invitations
