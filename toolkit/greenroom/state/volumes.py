"""How loud somebody is for me alone."""

from __future__ import annotations

import msgspec

LOUDEST = 4.0
_STEP_DB = 3.0
_SOFTEST = 10 ** (-36.0 / 20.0)


class Volume(msgspec.Struct, frozen=True):
    """`gain` is linear: 0.0 is silent, 1.0 as sent, 4.0 (12 dB) the most. `muted` keeps the gain for later."""

    gain: float = 1.0
    muted: bool = False

    @property
    def effective(self) -> float:
        """The gain that is used."""
        return 0.0 if self.muted else self.gain


def louder(volume: Volume, steps: int) -> Volume:
    """Return `volume` changed by `steps` of 3 dB, never above the most or quite silent; being changed it is not muted."""
    gain = max(volume.gain, _SOFTEST) * 10 ** (steps * _STEP_DB / 20.0)
    gain = min(max(gain, _SOFTEST), LOUDEST)
    return Volume(1.0 if abs(gain - 1.0) < 0.02 else round(gain, 4))
