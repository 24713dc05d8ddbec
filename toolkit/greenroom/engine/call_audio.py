"""One call's audio configuration over its life: resolved, frozen at first use, and live values that follow loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from greenroom.errors import Malformed, Misuse, Refused
from greenroom.policies.audio_config import (
    LIVE,
    AudioConfiguration,
    changed_though_frozen,
    custom,
    live_audio,
    resolve,
    values_of,
    why_refused,
)
from greenroom.policies.redundancy import Redundancy, plan_redundancy
from greenroom.protocol.call_types import AudioSettings
from greenroom.protocol.refusals import Reason
from greenroom.state.audio import Acting, EffectiveAudio, LiveAudio


class _Wish(msgspec.Struct, frozen=True):
    """What a call wants: values said one by one, over them those of a profile, over them music.

    Nothing below is forgotten, so that what is taken away from above leaves each value as it was.
    """

    said: AudioConfiguration = AudioConfiguration()
    profile: Mapping[str, Any] = {}
    music: bool = False

    def with_changes(self, changes: Mapping[str, Any]) -> _Wish:
        """Return the wish with values of `AudioConfiguration`, a `profile` or None, or `music` on or off.

        What is said of a value last counts: a profile covers what was said before it, and is covered by what follows.
        """
        said = {name: value for name, value in changes.items() if name not in ("profile", "music")}
        music = changes.get("music", self.music)
        if not isinstance(music, bool):
            raise ValueError(f"music is True or False, not {music}")
        profile = self.profile
        if "profile" in changes:
            name = changes["profile"]
            profile = {} if name is None else values_of(str(name))
        profile = {name: value for name, value in profile.items() if name not in said}
        return _Wish(custom(self.said, **said), profile, music)

    def resolve(self, client: AudioConfiguration | None, room: AudioSettings | None) -> EffectiveAudio:
        return resolve(replace(self.said, **self.profile), client, room, music=self.music)


class CallAudio:
    """`call` and `client` are wishes; `effective` is what became of them."""

    def __init__(self, call: AudioConfiguration | None, client: AudioConfiguration | None) -> None:
        self._wish = _Wish(call or AudioConfiguration())
        self._client = client
        self._room = AudioSettings()
        self._redundancy = Redundancy()
        self.effective: EffectiveAudio = self._wish.resolve(client, None)

    @property
    def live(self) -> LiveAudio:
        """What to send with from the next packet on."""
        return live_audio(self.effective, self._redundancy)

    def enter(self, room: AudioSettings) -> None:
        """Take what the room says, and freeze: sound is used from here on. Raises `Refused` when it is not allowed."""
        effective = self._wish.resolve(self._client, room)
        _check(effective, room)
        self._room = room
        self.effective = self._as_it_acts(replace(effective, frozen=True))

    def room_changed(self, room: AudioSettings) -> bool:
        """Take the room's settings while in it, and tell whether they are new; what is frozen stays."""
        if not self.effective.frozen or room == self._room:
            return False
        self._room = room
        now = self._wish.resolve(self._client, room)
        live = {name: getattr(now, name) for name in LIVE}
        self.effective = replace(self.effective, **live, origins=now.origins)
        return True

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the call's own wish: values of `AudioConfiguration`, a `profile` (None: none any more), `music`.

        Raises `Misuse` for what is not a value or cannot change any more, `Refused` when the room does not allow it.
        """
        try:
            wish = self._wish.with_changes(changes)
        except (TypeError, ValueError, Malformed) as error:
            raise Misuse(f"that is no audio configuration: {error}") from None
        effective = replace(wish.resolve(self._client, self._room), frozen=self.effective.frozen)
        if effective.frozen and "profile" in changes:  # joining again would not help with that
            _check(effective, self._room)
        stuck = changed_though_frozen(self.effective, effective)
        if stuck:
            raise Misuse(f"{', '.join(stuck)} cannot change while the call uses sound; leave and join again")
        if effective.frozen:  # before, the room is not known; it is asked on entering
            _check(effective, self._room)
        self._wish, self.effective = wish, self._as_it_acts(effective)

    def acts(self, acting: Acting) -> None:
        """Take what became of the wishes about the microphone's processing."""
        if acting != self.effective.acting:
            self.effective = replace(self.effective, acting=acting)

    def routed(self, reason: str) -> None:
        """Take why the wish for a route of the output has no effect; "" where it has."""
        self.effective = replace(self.effective, route_reason=reason)

    def lost(self, p90_fraction: float) -> None:
        """Take a report of what our listeners lose, 0.0 to 1.0."""
        self._redundancy = plan_redundancy(self._redundancy, p90_fraction)

    def _as_it_acts(self, effective: EffectiveAudio) -> EffectiveAudio:
        before = self.effective
        return replace(effective, acting=before.acting, route_reason=before.route_reason)


def _check(effective: EffectiveAudio, room: AudioSettings) -> None:
    reason = why_refused(effective, room)
    if reason is not None:
        raise Refused(reason, reason=Reason.NOT_AVAILABLE.value)
