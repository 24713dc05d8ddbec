"""The bounded ring between two threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.media.blocks import Block
from greenroom.media.ring import SampleRing


def counting(start: int, frames: int) -> Block:
    return np.arange(start, start + frames, dtype=np.float32)[:, np.newaxis]


def test_what_is_written_is_read_in_order_across_the_end() -> None:
    ring = SampleRing(10)
    ring.write(counting(0, 7))
    assert ring.read(5)[:, 0].tolist() == [0, 1, 2, 3, 4]
    ring.write(counting(7, 7))
    assert ring.read(9)[:, 0].tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13]


def test_a_full_ring_drops_the_oldest_and_counts_them() -> None:
    ring = SampleRing(10)
    assert ring.write(counting(0, 8)) == 0
    assert ring.write(counting(8, 5)) == 3
    assert ring.read(10)[:, 0].tolist() == list(range(3, 13))
    assert ring.dropped_frames == 3


def test_what_is_missing_is_silence_and_counted() -> None:
    ring = SampleRing(10, channels=2)
    ring.write(np.ones((4, 2), np.float32))
    block = ring.read(6)
    assert block.shape == (6, 2)
    assert block[:4].all()
    assert not block[4:].any()
    assert ring.missing_frames == 2


def test_a_cleared_ring_is_empty() -> None:
    ring = SampleRing(10)
    ring.write(counting(0, 8))
    ring.clear()
    assert (len(ring), ring.free_frames) == (0, 10)


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        SampleRing(0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=40))
def test_a_ring_behaves_like_a_list_of_the_newest(turns: list[tuple[bool, int]]) -> None:
    ring, model, written = SampleRing(16), list[float](), 0
    for writes, frames in turns:
        if writes:
            ring.write(counting(written, frames))
            model = [*model, *map(float, range(written, written + frames))][-16:]
            written += frames
        else:
            expected = model[:frames] + [0.0] * max(0, frames - len(model))
            assert ring.read(frames)[:, 0].tolist() == expected
            model = model[frames:]
    assert len(ring) == len(model)
