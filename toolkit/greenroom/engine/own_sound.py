"""What one client says and hears: its microphone and loudspeaker, devices or given, and the mix of its calls.

Lives on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from greenroom.engine.membership import Membership
from greenroom.engine.output_routing import OutputRouting
from greenroom.engine.own_microphone import OwnMicrophone
from greenroom.engine.shared_source import SharedSource
from greenroom.errors import Misuse, Refused
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import Block
from greenroom.media.chime import Chime
from greenroom.media.meter import Meter
from greenroom.media.playout import Playout
from greenroom.media.sinks import AudioSink, Null
from greenroom.media.sources import AudioSource, Silence
from greenroom.observable import Observable, Subscription
from greenroom.policies.audio_modes import audio_modes, device_for
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.refusals import Reason
from greenroom.state.audio import EffectiveAudio
from greenroom.state.call_settings import AudioMode
from greenroom.state.devices import DevicesState, speaker_reason
from greenroom.state.meters import Meters

log = logging.getLogger(__name__)
Heard = Callable[[UserId, Block], None]
CHIME = "a tone to hear whether the loudspeaker plays"
_CHIME_SECONDS = 1.0


class SoundOwner(Protocol):
    """What the sound tells the client it belongs to."""

    def devices_changed(self, devices: DevicesState) -> None: ...

    def sound_changed(self) -> None: ...

    def warn_everywhere(self, words: str) -> None: ...


class OwnSound:
    """One microphone, shared by all calls, and one mix of them. What it was given stays the giver's to close."""

    def __init__(
        self,
        memberships: Mapping[Cid, Membership],
        owner: SoundOwner,
        *,
        source: AudioSource | None,
        sink: AudioSink | None,
        devices: AudioSession | None,
    ) -> None:
        self.devices = devices
        self.source = SharedSource(source or Silence())
        self.microphone = OwnMicrophone(self.source, devices if source is None else None)
        self.meters: Observable[Meters] = Observable(Meters())
        self._speaker = devices.speaker() if devices is not None and sink is None else None
        self.playout = Playout(sink or self._speaker or Null())
        self._memberships = memberships
        self._owner = owner
        self._loudness = Meter()
        self._routing = OutputRouting(devices if self._speaker is not None else None)
        self._taps: dict[Cid, list[Heard]] = {}
        self._watching: Subscription | None = None
        self.source.on_acting = owner.sound_changed
        self.source.on_failed = owner.warn_everywhere
        self.playout.tap_mixed(self._loudness.take)
        if source is not None or self._speaker is None:  # else the devices tell each other what is played
            self.playout.tap_mixed(self.source.played)
        self.playout.tap(self._hear)

    def watch_devices(self, call_soon: Callable[[Callable[[], object]], None]) -> None:
        """Tell our owner of every change of the devices from now on, by `call_soon`; twice is quiet."""
        if self.devices is not None and self._watching is None:
            self._watching = self.devices.state.subscribe(
                lambda devices: call_soon(lambda: self._owner.devices_changed(devices))
            )

    def close(self) -> None:
        """Give the devices back."""
        if self._watching is not None:
            self._watching.close()
        self.microphone.close()
        if self._speaker is not None:
            self._speaker.close()

    def measure(self) -> None:
        """Take the levels of microphone and loudspeaker, ten times a second."""
        self.microphone.read()
        level, peak = self.source.meter.read()
        played, _ = self._loudness.read()
        self.meters.set(
            Meters(round(level, 1), round(peak, 1), round(played, 1), trying=self.microphone.trying)
        )

    def chime(self) -> None:
        """Play a short tone on the loudspeaker, beside whatever is heard."""
        if CHIME in self.playout.calls:
            return
        self.playout.add(CHIME, Chime())
        asyncio.get_running_loop().call_later(_CHIME_SECONDS, self.playout.remove, CHIME)

    def tap(self, cid: Cid, heard: Heard) -> Callable[[], None]:
        """Call `heard` for everybody's blocks in this room; return how to stop that."""
        taps = self._taps.setdefault(cid, [])
        taps.append(heard)
        return lambda: taps.remove(heard) if heard in taps else None

    def forget(self, cid: Cid) -> None:
        """Nobody listens to this room any more."""
        self._taps.pop(cid, None)

    def microphone_missing(self, devices: DevicesState | None) -> str:
        """Return why there is no microphone, or "" where there is one."""
        return self.microphone.missing(devices)

    def speaker_missing(self, devices: DevicesState | None) -> str:
        """Return why there is no loudspeaker, or "" where there is one."""
        if devices is None or self._speaker is None or self.playout.sink is not self._speaker:
            return ""
        return speaker_reason(devices.speaker)

    def follow_routes(self, wishes: Mapping[Cid, EffectiveAudio]) -> None:
        """Listen where the calls wish, as far as that is possible, and tell each what became of it."""
        for cid, reason in self._routing.follow(wishes).items():
            self._memberships[cid].routed(reason)

    def audio_modes(self, devices: DevicesState | None) -> tuple[AudioMode, ...]:
        """Return where one can listen now."""
        return audio_modes(devices)

    async def set_audio_mode(self, mode: AudioMode) -> None:
        """Listen in another way. Raises `Refused` without such a device, `Misuse` without any."""
        if self.devices is None:
            raise Misuse("this client was made without devices, so where it is heard is not ours to choose")
        device = device_for(self.devices.state.value, mode)
        if device is None:
            raise Refused(f"there is no {mode} to listen with now", reason=Reason.NOT_AVAILABLE.value)
        self.devices.choose(output=device.name)

    def _hear(self, call_id: str, number: int, block: Block) -> None:
        cid = Cid(call_id)
        membership = self._memberships.get(cid)
        if membership is None:
            return
        user = membership.user_of(number)
        if user is None:
            return  # the room has not told us yet who that is
        membership.ears.hear(user, block)
        for heard in tuple(self._taps.get(cid, ())):
            try:
                heard(user, block)
            except Exception:  # somebody else's function must not end everybody's sound
                log.exception("a tap raised and is not called again")
                self._taps[cid].remove(heard)
