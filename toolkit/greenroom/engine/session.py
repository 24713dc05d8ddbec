"""One call from joining to leaving, beyond its room: settings, preferences, what listeners hear, when it ends by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from greenroom.errors import GreenroomError, Refused
from greenroom.policies.idle import IdleFacts, next_idle, stay
from greenroom.policies.preferences import Preferences
from greenroom.protocol.events import Event
from greenroom.protocol.ids import Cid
from greenroom.protocol.room import Room
from greenroom.state.call import CallPhase, CallState
from greenroom.state.call_settings import JOINED_WITHOUT_SETTINGS, CallSettings
from greenroom.state.idle import IdlePhase
from greenroom.state.session_changes import call_changes, room_changes
from greenroom.state.session_events import CallEnded, SessionError, SessionEvent, SessionTimedOut, UserJoined
from greenroom.views.idle import expired_words

Tell = Callable[[Sequence[SessionEvent]], None]


class SessionLife:
    """Lives on the engine's loop. `tell` hears events, `over` in words why the call should be left now, once."""

    def __init__(
        self,
        cid: Cid,
        *,
        settings: CallSettings = JOINED_WITHOUT_SETTINGS,
        preferences: Preferences | None = None,
        tell: Tell = lambda events: None,
        over: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.cid = cid
        self.settings = settings
        self.preferences = preferences or Preferences()
        self._tell = tell
        self._over = over
        self._acted = True
        self._ended = False
        self._done = False
        self._unreachable_since: float | None = None

    # ---- what happened

    def room_changed(
        self, before: Room | None, events: Sequence[Event], after: Room | None, now: float
    ) -> None:
        """Take what the room told; without `events` it came as a snapshot."""
        changes = room_changes(self.cid, before, events, after, now)
        self._acted = self._acted or any(isinstance(change, UserJoined) for change in changes)
        for change in changes:
            if isinstance(change, CallEnded):
                self._ended = True
        if changes:
            self._tell(changes)

    def call_changed(self, before: CallState, after: CallState, now: float) -> None:
        """Take what became of our side."""
        if changes := call_changes(before, after, now):
            self._tell(changes)

    def ended(self, event: CallEnded) -> None:
        """Take that the room ended for everybody; told once, however we learn of it."""
        if not self._ended:
            self._ended = True
            self._tell((event,))

    def happened(self, event: SessionEvent) -> None:
        """Tell listeners what nothing else shows."""
        self._tell((event,))

    def failed(self, error: GreenroomError, now: float) -> None:
        """Take that something asked for did not happen."""
        reason = error.reason if isinstance(error, Refused) else type(error).__name__.lower()
        self._tell((SessionError(self.cid, now, reason, str(error)),))

    def acted(self) -> None:
        """Take that the person did something."""
        self._acted = True

    # ---- when it ends by itself

    def looked(self, state: CallState, now: float) -> CallState:
        """Return `state` with how near it is to ending by itself. Call it a few times a second."""
        room = state.room
        others = room is not None and (len(room.participants) > 1 or room.counts.participants > 1)
        active = self._acted or bool(state.speaking)
        self._acted = False
        facts = IdleFacts(here=state.phase is CallPhase.JOINED, alone=not others, active=active)
        idle = next_idle(state.idle, self.settings.idle_timeout, facts, now)
        return state if idle is state.idle else replace(state, idle=idle)

    def stayed(self, state: CallState) -> CallState:
        """Return `state` after the person said that they are still here."""
        idle = stay(state.idle)
        return state if idle is state.idle else replace(state, idle=idle)

    def check(self, state: CallState, now: float) -> None:
        """End the call when nobody used it, or the server was away, for too long."""
        if state.phase is not CallPhase.RECONNECTING:
            self._unreachable_since = None
        elif self._unreachable_since is None:
            self._unreachable_since = now
        if self._done:
            return
        if state.idle.phase is IdlePhase.EXPIRED:
            self._done = True
            words = expired_words(self.settings.idle_timeout)
            self._tell((SessionTimedOut(self.cid, now, words),))
            self._over(words)
            return
        most, since = self.preferences.reconnect_timeout_seconds, self._unreachable_since
        if most and since is not None and now - since >= most:
            self._done = True
            self._over(f"the server was not reached again within {most:g} s")
