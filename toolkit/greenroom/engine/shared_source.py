"""One microphone for several calls: what is read once is heard by every call that reads it."""

from __future__ import annotations

from greenroom.media.blocks import FRAME, Block, with_channels
from greenroom.media.ring import SampleRing
from greenroom.media.sources import AudioSource

_BRANCH_FRAMES = 5 * FRAME


class Branch:
    """One call's view of a shared source. Closing it leaves the source alone."""

    def __init__(self, owner: SharedSource) -> None:
        self._owner = owner
        self.channels = owner.channels
        self.ring = SampleRing(_BRANCH_FRAMES, owner.channels)

    def read(self, frames: int) -> Block:
        while len(self.ring) < frames:
            self._owner.advance(frames - len(self.ring))
        return self.ring.read(frames)

    def close(self) -> None:
        """Read no more; twice is quiet."""
        self._owner.drop(self)


class SharedSource:
    """Reads its source whenever the first of its branches needs more; a branch that stops reading loses the oldest.

    Belongs to the engine's thread.
    """

    def __init__(self, source: AudioSource) -> None:
        self._source = source
        self.channels = source.channels
        self._branches: list[Branch] = []

    @property
    def source(self) -> AudioSource:
        """What is being read now."""
        return self._source

    def branch(self) -> Branch:
        """Return one more reader, from now on."""
        branch = Branch(self)
        self._branches.append(branch)
        return branch

    def drop(self, branch: Branch) -> None:
        """Forget `branch`; an unknown one is quiet."""
        if branch in self._branches:
            self._branches.remove(branch)

    def replace(self, source: AudioSource) -> AudioSource:
        """Read `source` from now on, and return the one before, which is the caller's to close."""
        before, self._source = self._source, source
        return before

    def advance(self, frames: int) -> None:
        """Read `frames` for everyone."""
        block = with_channels(self._source.read(frames), self.channels)
        for branch in self._branches:
            branch.ring.write(block)
