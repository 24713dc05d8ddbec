"""One call's audio configuration over its life: resolved, frozen at first use, and live values that follow loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from greenroom.errors import Misuse, Refused
from greenroom.policies.audio_config import (
    LIVE,
    AudioConfiguration,
    changed_though_frozen,
    custom,
    live_audio,
    resolve,
    why_refused,
)
from greenroom.policies.redundancy import Redundancy, plan_redundancy
from greenroom.protocol.call_types import AudioSettings
from greenroom.protocol.refusals import Reason
from greenroom.state.audio import EffectiveAudio, LiveAudio


class CallAudio:
    """`call` and `client` are wishes; `effective` is what became of them."""

    def __init__(self, call: AudioConfiguration | None, client: AudioConfiguration | None) -> None:
        self._call = call
        self._client = client
        self._room = AudioSettings()
        self._redundancy = Redundancy()
        self.effective: EffectiveAudio = resolve(call, client)

    @property
    def live(self) -> LiveAudio:
        """What to send with from the next packet on."""
        return live_audio(self.effective, self._redundancy)

    def enter(self, room: AudioSettings) -> None:
        """Take what the room says, and freeze: sound is used from here on. Raises `Refused` when it is not allowed."""
        effective = resolve(self._call, self._client, room)
        _check(effective, room)
        self._room = room
        self.effective = replace(effective, frozen=True)

    def room_changed(self, room: AudioSettings) -> bool:
        """Take the room's settings while in it, and tell whether they are new; what is frozen stays."""
        if not self.effective.frozen or room == self._room:
            return False
        self._room = room
        now = resolve(self._call, self._client, room)
        live = {name: getattr(now, name) for name in LIVE}
        self.effective = replace(self.effective, **live, origins=now.origins)
        return True

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the call's own wish.

        Raises `Misuse` for what is not a value or cannot change any more, `Refused` when the room does not allow it.
        """
        try:
            call = custom(self._call or AudioConfiguration(), **changes)
        except (TypeError, ValueError) as error:
            raise Misuse(f"that is no audio configuration: {error}") from None
        effective = replace(resolve(call, self._client, self._room), frozen=self.effective.frozen)
        stuck = changed_though_frozen(self.effective, effective)
        if stuck:
            raise Misuse(f"{', '.join(stuck)} cannot change while the call uses sound; leave and join again")
        _check(effective, self._room)
        self._call, self.effective = call, effective

    def lost(self, p90_fraction: float) -> None:
        """Take a report of what our listeners lose, 0.0 to 1.0."""
        self._redundancy = plan_redundancy(self._redundancy, p90_fraction)


def _check(effective: EffectiveAudio, room: AudioSettings) -> None:
    reason = why_refused(effective, room)
    if reason is not None:
        raise Refused(reason, reason=Reason.NOT_AVAILABLE.value)
