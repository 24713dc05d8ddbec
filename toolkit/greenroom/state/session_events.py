"""What happens in a session, as values for whoever listens: past tense, each with its room and time.

Events of `greenroom.protocol.events` are the room's and everybody's; these are one person's, about one session.
"""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.room import HandOutcome, LeaveReason
from greenroom.state.call_settings import AudioMode
from greenroom.state.layout import Layout


class _SessionEvent(msgspec.Struct, frozen=True, tag_field="session_event", tag=str.lower):
    """`at`: wall-clock seconds."""

    cid: Cid
    at: float


class SessionJoined(_SessionEvent, frozen=True):
    """We are in."""


class SessionLeft(_SessionEvent, frozen=True):
    """We are no longer in. `reason` is None when that was our own wish."""

    reason: str | None = None


class CallEnded(_SessionEvent, frozen=True):
    """The room ended for everybody. `by` is None when its time was over."""

    by: UserId | None = None


class SessionPrompted(_SessionEvent, frozen=True):
    """The session ends at `ends_at` unless somebody says that they stay."""

    ends_at: float


class SessionTimedOut(_SessionEvent, frozen=True):
    """Nobody used the session, so it ended by itself."""

    reason: str


class EndButtonPressed(_SessionEvent, frozen=True):
    """Somebody pressed the button that leaves; told before we leave."""


class UserJoined(_SessionEvent, frozen=True):
    user: UserId
    name: str


class UserLeft(_SessionEvent, frozen=True):
    """`reason` is None when it was not seen, because the connection was lost meanwhile."""

    user: UserId
    name: str
    reason: LeaveReason | None = None


class UserListChanged(_SessionEvent, frozen=True):
    """Who is here by name, in order of joining."""

    users: tuple[UserId, ...]


class UserMuted(_SessionEvent, frozen=True):
    """A microphone closed. `by` is the moderator who closed it, None for the user's own doing."""

    user: UserId
    by: UserId | None = None


class UserUnmuted(_SessionEvent, frozen=True):
    user: UserId


class UserRaisedHand(_SessionEvent, frozen=True):
    """`position` counts from 1."""

    user: UserId
    name: str
    position: int


class UserLoweredHand(_SessionEvent, frozen=True):
    """`outcome` is None when it was not seen, because the connection was lost meanwhile."""

    user: UserId
    outcome: HandOutcome | None = None


class DominantSpeakerChanged(_SessionEvent, frozen=True):
    """None: nobody speaks."""

    user: UserId | None = None


class AudioModesChanged(_SessionEvent, frozen=True):
    """Where one can listen now, and where one does; None where that cannot be told."""

    modes: tuple[AudioMode, ...]
    selected: AudioMode | None = None


class SwitchedToVideo(_SessionEvent, frozen=True):
    """Somebody opened the first camera of the call."""

    user: UserId


class RecordingToggled(_SessionEvent, frozen=True):
    on: bool
    by: UserId | None = None


class ConnectionLost(_SessionEvent, frozen=True):
    """The server cannot be reached; sound may still flow."""


class ConnectionRestored(_SessionEvent, frozen=True):
    """The server is back, and we are still in."""


class ConnectionClosed(_SessionEvent, frozen=True):
    """The connection ended for good."""

    reason: str


class LayoutChanged(_SessionEvent, frozen=True):
    layout: Layout


class PinsChanged(_SessionEvent, frozen=True):
    """The last pinned first."""

    pins: tuple[UserId, ...]


class PictureInPictureChanged(_SessionEvent, frozen=True):
    on: bool


class SessionError(_SessionEvent, frozen=True):
    """Something the person or their settings asked for did not happen. `reason` is one of `protocol.refusals.Reason`,
    or the kind of error in a word."""

    reason: str
    message: str


SessionEvent = (
    SessionJoined
    | SessionLeft
    | CallEnded
    | SessionPrompted
    | SessionTimedOut
    | EndButtonPressed
    | UserJoined
    | UserLeft
    | UserListChanged
    | UserMuted
    | UserUnmuted
    | UserRaisedHand
    | UserLoweredHand
    | DominantSpeakerChanged
    | AudioModesChanged
    | SwitchedToVideo
    | RecordingToggled
    | ConnectionLost
    | ConnectionRestored
    | ConnectionClosed
    | LayoutChanged
    | PinsChanged
    | PictureInPictureChanged
    | SessionError
)
