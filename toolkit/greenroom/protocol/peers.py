"""Two people without a stage may send sound straight to each other: who, and what they tell each other to get there.

The server only passes these signals on. Media that does not pass the server cannot be stopped there, so both must be
allowed to speak; whoever loses that goes through the forwarding unit again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Participant, Room, may

MAX_DESCRIPTION_CHARACTERS = 16 * 1024
MAX_CANDIDATE_CHARACTERS = 512
MAX_ATTEMPT_CHARACTERS = 32


class Failure(StrEnum):
    """Why somebody does not go the direct way, or not any longer."""

    NO_WAY = "no_way"
    LOST = "lost"
    UNREADABLE = "unreadable"
    UNWILLING = "unwilling"


class PeerReady(msgspec.Struct, frozen=True, tag_field="peer", tag="ready", forbid_unknown_fields=True):
    """ "I wait for your offer": from the one with the higher number, who does not make offers."""


class PeerOffer(msgspec.Struct, frozen=True, tag_field="peer", tag="offer", forbid_unknown_fields=True):
    """A session description (SDP), from the one with the lower number. `attempt` names all that belongs to it."""

    attempt: str
    sdp: str

    def __repr__(self) -> str:
        return f"PeerOffer(attempt={self.attempt!r}, sdp=…)"


class PeerAnswer(msgspec.Struct, frozen=True, tag_field="peer", tag="answer", forbid_unknown_fields=True):
    """The answer (SDP) to the offer of `attempt`."""

    attempt: str
    sdp: str

    def __repr__(self) -> str:
        return f"PeerAnswer(attempt={self.attempt!r}, sdp=…)"


class PeerCandidate(
    msgspec.Struct, frozen=True, tag_field="peer", tag="candidate", forbid_unknown_fields=True
):
    """One more address to try: `candidate:…` as in RFC 8839, section 5.1."""

    attempt: str
    candidate: str

    def __repr__(self) -> str:
        return f"PeerCandidate(attempt={self.attempt!r}, candidate=…)"


class PeerFailed(msgspec.Struct, frozen=True, tag_field="peer", tag="failed", forbid_unknown_fields=True):
    """ "I go through the server." An empty `attempt` means whichever there is."""

    reason: Failure
    attempt: str = ""


PeerSignal = PeerReady | PeerOffer | PeerAnswer | PeerCandidate | PeerFailed


def direct_pair(room: Room) -> tuple[Participant, Participant] | None:
    """Return the two who may go the direct way in `room`, who offers first, or None: see `why_not_direct`."""
    if why_not_direct(room) is not None:
        return None
    first, second = sorted(room.participants.values(), key=lambda person: person.number)
    return first, second


def why_not_direct(room: Room) -> str | None:
    """Return why sound goes through the server in `room`, in words, or None when it may go directly."""
    if not room.settings.peer_to_peer:
        return "this kind of room sends sound through the server"
    if room.ended_at is not None:
        return "the room has ended"
    here = room.participants
    if len(here) != 2:
        return "nobody else is here" if len(here) < 2 else f"{len(here)} people are here"
    if not all(may(room, user, Capability.SEND_AUDIO) for user in here):
        return "not everybody here may speak, and only the server can see to that"
    return None


def may_signal(room: Room, sender: UserId, receiver: UserId, signal: PeerSignal) -> bool:
    """Tell whether the server passes `signal` on: both are here, may go directly (or say that they do not), and it fits."""
    here = room.participants
    if sender == receiver or sender not in here or receiver not in here:
        return False
    match signal:
        case PeerReady():
            fits = True
        case PeerOffer(attempt, sdp) | PeerAnswer(attempt, sdp):
            fits = _names(attempt) and 0 < len(sdp) <= MAX_DESCRIPTION_CHARACTERS
        case PeerCandidate(attempt, candidate):
            fits = _names(attempt) and _is_line(candidate)
        case PeerFailed(_, attempt):
            return room.settings.peer_to_peer and len(attempt) <= MAX_ATTEMPT_CHARACTERS
    return fits and direct_pair(room) is not None


def _names(attempt: str) -> bool:
    return 0 < len(attempt) <= MAX_ATTEMPT_CHARACTERS


def _is_line(candidate: str) -> bool:
    return (
        candidate.startswith("candidate:")
        and len(candidate) <= MAX_CANDIDATE_CHARACTERS
        and candidate.isprintable()
    )
