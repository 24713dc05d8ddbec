"""What was heard of each person, from the decoded sound itself: the last seconds, and for how long."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

import numpy as np

from greenroom.media.blocks import FRAME, FRAME_SECONDS, Block, silence
from greenroom.media.dsp import level_dbfs
from greenroom.protocol.ids import UserId

HEARD_ABOVE_DBFS = -50.0
PEOPLE_KEPT = 16


class Ears:
    """Keeps the last `keep_seconds` of each of the 16 people heard most recently, and counts how long each was heard.

    Written by the engine's thread, read from any.
    """

    def __init__(self, keep_seconds: float = 5.0) -> None:
        self._blocks_kept = max(1, round(keep_seconds / FRAME_SECONDS))
        self._lock = threading.Lock()
        self._kept: dict[UserId, deque[Block]] = {}
        self._heard_frames: dict[UserId, int] = {}

    def hear(self, user: UserId, block: Block) -> None:
        """Take the next block of `user`."""
        audible = level_dbfs(block) > HEARD_ABOVE_DBFS
        with self._lock:
            kept = self._kept.pop(user, None)
            if kept is None:
                kept = deque(maxlen=self._blocks_kept)
                if len(self._kept) >= PEOPLE_KEPT:
                    del self._kept[next(iter(self._kept))]
            self._kept[user] = kept
            kept.append(block)
            if audible:
                self._heard_frames[user] = self._heard_frames.get(user, 0) + len(block)

    def last(self, user: UserId, seconds: float) -> Block:
        """Return up to the last `seconds` of a person, shape (frames, channels), oldest first; empty if never heard."""
        with self._lock:
            blocks = list(self._kept.get(user, ()))
        wanted = round(seconds / FRAME_SECONDS) * FRAME
        return silence(0) if not blocks else np.concatenate(blocks)[-wanted:]

    def heard_seconds(self) -> Mapping[UserId, float]:
        """Return for how long each person was louder than −50 dBFS."""
        with self._lock:
            return {user: frames / FRAME * FRAME_SECONDS for user, frames in self._heard_frames.items()}
