"""What a client keeps beyond its calls' rooms: preferences, what is remembered, who listens, which services run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from greenroom.engine.listeners import Listeners
from greenroom.engine.remembered import Remembered
from greenroom.engine.services import Services
from greenroom.engine.session import SessionLife
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.policies.audio_modes import audio_modes, selected_mode
from greenroom.policies.preferences import CallPreferences, resolve_preferences
from greenroom.protocol.ids import Cid
from greenroom.state.call import CallPhase, CallState
from greenroom.state.call_settings import CallSettings
from greenroom.state.devices import DevicesState
from greenroom.state.session_events import AudioModesChanged, ConnectionClosed

HERE = (CallPhase.JOINED, CallPhase.RECONNECTING)


class Sessions:
    """Follows what a client's calls and devices do. `here` tells whether we are in a room, `complain` fills the log."""

    def __init__(
        self,
        preferences: CallPreferences,
        here: Callable[[Cid], bool],
        complain: Callable[[str, Cid], None],
    ) -> None:
        self.preferences = preferences
        self.remembered = Remembered()
        self.listeners = Listeners(complain)
        self.services = Services(here)

    def life(
        self, cid: Cid, settings: CallSettings, preferences: CallPreferences, over: Callable[[str], None]
    ) -> SessionLife:
        """Return the life of a session that begins now; `over` is called with words when it should end by itself."""
        resolved = resolve_preferences(preferences, self.preferences)
        return SessionLife(cid, settings=settings, preferences=resolved, tell=self.listeners.tell, over=over)

    @property
    def audio_configuration(self) -> AudioConfiguration | None:
        """What calls sound like that say nothing themselves; None: nothing was preferred."""
        return resolve_preferences(None, self.preferences).audio_configuration

    def call_changed(self, before: CallState | None, after: CallState) -> None:
        """Take a call's new state: remember what it would be entered with, and let its service begin or end."""
        if before is not None:
            self.remembered.follow(before, after)
        was = None if before is None else before.phase
        if after.phase is CallPhase.JOINED and was not in HERE:
            self.services.call_begun(after.cid)
        elif after.phase is CallPhase.LEFT and was is not CallPhase.LEFT:
            self.services.call_over(after.cid)

    def devices_changed(self, before: DevicesState | None, after: DevicesState, calls: Iterable[Cid]) -> None:
        """Take other devices: tell where one can listen now, if that is new."""
        now = audio_modes(after), selected_mode(after)
        if now != (audio_modes(before), selected_mode(before)):
            self.listeners.tell([AudioModesChanged(cid, time.time(), *now) for cid in calls])

    def connection_closed(self, calls: Iterable[Cid], reason: str) -> None:
        """Take that the server let go of us for good."""
        self.listeners.tell([ConnectionClosed(cid, time.time(), reason) for cid in calls])
