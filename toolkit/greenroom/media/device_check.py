"""A look at levels before joining: is the microphone heard, does the loudspeaker play."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import FRAME, FRAME_SECONDS, with_channels
from greenroom.media.chime import Chime
from greenroom.media.dsp import SILENCE_DBFS, peak_dbfs
from greenroom.state.devices import DevicePhase, DevicesState


class SoundCheck(msgspec.Struct, frozen=True):
    """`peak_dbfs`: the loudest sample of the microphone, -96.0 without one. `played`: whether a chime went out."""

    devices: DevicesState
    peak_dbfs: float
    played: bool


def check_sound(
    session: AudioSession, seconds: float = 3.0, on_level: Callable[[float], None] | None = None
) -> SoundCheck:
    """Listen to the microphone for `seconds`, playing a soft chime meanwhile. `on_level` hears a peak in dBFS each 20 ms.

    Blocks. The devices are those of `session`; the check has lines of its own and gives them back.
    """
    microphone, speaker = session.microphone(), session.speaker()
    try:
        state = session.wait_ready()
        chime, loudest, played_frames = Chime(), SILENCE_DBFS, 0
        deadline = time.monotonic()
        for _ in range(round(seconds / FRAME_SECONDS)):
            peak = peak_dbfs(microphone.read(FRAME))
            loudest = max(loudest, peak)
            if on_level is not None:
                on_level(peak)
            if (block := chime.next()) is not None and speaker.wanted_frames() is not None:
                speaker.write(with_channels(block, speaker.channels))
                played_frames += FRAME
            deadline += FRAME_SECONDS
            time.sleep(max(0.0, deadline - time.monotonic()))
        played = played_frames > 0 and session.state.value.speaker.phase is DevicePhase.RUNNING
        return SoundCheck(state, round(loudest, 1), played)
    finally:
        microphone.close()
        speaker.close()
