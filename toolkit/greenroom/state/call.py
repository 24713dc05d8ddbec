"""Our side of one room: connection, what I may do, my microphone, what is heard."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Participant, Room, capabilities, hand_position
from greenroom.protocol.wire import Quality
from greenroom.state.audio import EffectiveAudio

LEVEL_HISTORY = 10
SILENCE_DBFS = -96.0


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
    """`wish`: what the person wants; `open`: whether the microphone really sends; `reason`: why not, in words."""

    wish: bool = False
    open: bool = False
    reason: str = "switched off"


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


class PersonStatistics(msgspec.Struct, frozen=True):
    """What was heard of one person: packets, and frames of 20 ms that had to be concealed."""

    packets: int = 0
    concealed: int = 0
    level_dbfs: float = SILENCE_DBFS


class CallStatistics(msgspec.Struct, frozen=True):
    """Sampled every 2 s. Counts are totals since the media connection began; rates cover the last sample.

    `mean_opinion` is what the E-model says of the last sample, 1.0 (bad) to 4.4; None while nothing was played.
    """

    at: float
    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    frames_played: int = 0
    frames_concealed: int = 0
    recovered_fec: int = 0
    recovered_red: int = 0
    sent_kbps: float = 0.0
    received_kbps: float = 0.0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None
    buffer_ms: float = 0.0
    mean_opinion: float | None = None
    by_person: Mapping[UserId, PersonStatistics] = {}

    @property
    def concealed_ratio(self) -> float:
        """Concealed share of all frames played, 0.0 to 1.0."""
        return self.frames_concealed / self.frames_played if self.frames_played else 0.0


class CallState(msgspec.Struct, frozen=True):
    """One immutable picture of a call. `room` is the replica's; None until the first snapshot.

    `audio` is what our sound is made of, None before we are in.
    `levels` are dBFS of those heard now; `level_history` the last ten of each, oldest first.
    """

    cid: Cid
    me: UserId
    phase: CallPhase = CallPhase.IDLE
    room: Room | None = None
    microphone: Microphone = Microphone()
    suspended: bool = False
    media: MediaPhase = MediaPhase.NONE
    levels: Mapping[UserId, float] = {}
    level_history: Mapping[UserId, tuple[float, ...]] = {}
    speaking: frozenset[UserId] = frozenset()
    dominant: UserId | None = None
    quality: Mapping[UserId, Quality] = {}
    volumes: Mapping[UserId, float] = {}
    audio: EffectiveAudio | None = None
    statistics: CallStatistics | None = None
    reactions: tuple[ShownReaction, ...] = ()
    typing: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    left_reason: str | None = None
    reconnect_attempt: int = 0

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
