"""Numbers that wrap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.sequence import (
    sequence_add,
    sequence_distance,
    starting_offset,
    timestamp_add,
    timestamp_distance,
    unwrap_sequence,
)

u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@given(u16, st.integers(-32768, 32767))
def test_distance_undoes_addition_across_the_wrap(start: int, step: int) -> None:
    assert sequence_distance(start, sequence_add(start, step)) == step


@given(u32, st.integers(-(2**31), 2**31 - 1))
def test_timestamps_do_the_same(start: int, step: int) -> None:
    assert timestamp_distance(start, timestamp_add(start, step)) == step


@given(st.integers(0, 10**9), st.lists(st.integers(-100, 1000), max_size=50))
def test_a_stream_is_unwrapped_however_long_it_runs(start: int, steps: list[int]) -> None:
    highest = start
    for step in steps:
        extended = highest + step
        assert unwrap_sequence(highest, extended & 0xFFFF) == extended
        highest = max(highest, extended)


@given(u16, u16)
def test_an_offset_makes_a_listener_start_where_it_should(sequence: int, start: int) -> None:
    assert (sequence + starting_offset(sequence, start)) & 0xFFFF == start
