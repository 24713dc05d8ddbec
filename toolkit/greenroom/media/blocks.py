"""What sound looks like while it is inside Greenroom: float32 blocks at 48 kHz."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000
FRAME_SECONDS = 0.02
FRAME = 960
"""Samples per channel in the 20 ms that one packet carries."""

Block: TypeAlias = NDArray[np.float32]
"""Samples of shape (frames, channels), interleaved, full scale 1.0, 48 kHz."""


def silence(frames: int, channels: int = 1) -> Block:
    """Return `frames` of silence, shape (frames, channels)."""
    return np.zeros((frames, channels), np.float32)


def with_channels(block: Block, channels: int) -> Block:
    """Return `block` with `channels` channels: mono is repeated, more are averaged into mono.

    From several channels to another number of several, the mono mix is repeated.
    """
    if block.shape[1] == channels:
        return block
    mono = block if block.shape[1] == 1 else block.mean(axis=1, keepdims=True, dtype=np.float32)
    return mono if channels == 1 else np.repeat(mono, channels, axis=1)
