"""Levels that move ten times a second, kept beside the state so that nothing else has to move with them."""

from __future__ import annotations

import msgspec

from greenroom.state.statistics import SILENCE_DBFS


class Meters(msgspec.Struct, frozen=True):
    """The loudest of the last 100 ms, in dBFS: RMS over 20 ms, and the highest sample of the microphone.

    `trying`: the microphone is listened to for its level, whatever calls there are.
    """

    microphone_dbfs: float = SILENCE_DBFS
    microphone_peak_dbfs: float = SILENCE_DBFS
    loudspeaker_dbfs: float = SILENCE_DBFS
    trying: bool = False
