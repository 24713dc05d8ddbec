"""A short soft tone, by which one hears whether a loudspeaker plays."""

from __future__ import annotations

from greenroom.media.blocks import FRAME, Block
from greenroom.media.dsp import rising
from greenroom.media.sources import Tone

CHIME_HZ = 660.0
CHIME_DBFS = -24.0
_BLOCKS = 30


class Chime:
    """Thirty blocks of tone between two fades, then nothing; what `Playout` plays like a call with one person."""

    def __init__(self) -> None:
        self._tone = Tone(CHIME_HZ, CHIME_DBFS)
        self._played = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to play."""
        return self._played >= _BLOCKS

    def next(self, frames: int = FRAME) -> Block | None:
        """Return the next block, shape (frames, 1); None when it is over."""
        if self.over:
            return None
        block = self._tone.read(frames)
        if self._played == 0:
            block = block * rising(frames)
        self._played += 1
        return block * (1.0 - rising(frames)) if self.over else block

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        """Return the next block as what speaker 0 says."""
        block = self.next(frames)
        return {} if block is None else {0: block}
