"""The loudest since one looked."""

from __future__ import annotations

from greenroom.media.blocks import Block
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs, peak_dbfs


class Meter:
    """Takes blocks, gives levels in dBFS. For one thread."""

    def __init__(self) -> None:
        self._level = SILENCE_DBFS
        self._peak = SILENCE_DBFS

    def take(self, block: Block) -> None:
        """Take the next block, shape (frames, channels)."""
        self._level = max(self._level, level_dbfs(block))
        self._peak = max(self._peak, peak_dbfs(block))

    def read(self) -> tuple[float, float]:
        """Return the loudest RMS and the highest sample since the last time; silence where nothing came."""
        levels = (self._level, self._peak)
        self._level = self._peak = SILENCE_DBFS
        return levels
