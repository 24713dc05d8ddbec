"""What sound looks like while it is inside Greenroom: float32 blocks at 48 kHz."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from greenroom.errors import AudioUnavailable

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


def harmless(block: Block) -> Block:
    """Return `block` without what no codec or loudspeaker must see: what is no number is silence, 0 dBFS is the end."""
    if np.abs(block).max(initial=0.0) <= 1.0:  # false where there is something that is no number
        return block
    return np.clip(np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def checked(read: object, frames: int, channels: int) -> Block:
    """Return what somebody's source gave, made `harmless`. Raises `AudioUnavailable` if it is no block of that shape."""
    if not isinstance(read, np.ndarray) or not np.issubdtype(read.dtype, np.floating):
        given = f"{read.dtype} samples" if isinstance(read, np.ndarray) else type(read).__name__
        raise AudioUnavailable(f"the source gave {given} instead of float32 from -1 to 1")
    if read.shape != (frames, channels):
        raise AudioUnavailable(f"the source gave {read.shape} instead of {(frames, channels)}")
    return harmless(read.astype(np.float32, copy=False))
