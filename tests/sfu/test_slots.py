"""Slots: the loudest have them, and each is one stream whoever speaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.sfu.slots import (
    FRAME_UNITS,
    JUMP_PACKETS,
    Dominant,
    Occupant,
    Rewritten,
    SlotStream,
    choose_slot,
)

NOW = 100.0


def occupant(number: int, loudness: float, held_seconds: float = 5.0) -> Occupant:
    return Occupant(number, loudness, NOW - held_seconds)


@pytest.mark.parametrize(
    ("occupants", "loudness", "slot"),
    [
        pytest.param([None, None], -127.0, 0, id="a free slot is for anyone, also for who is silent"),
        pytest.param([occupant(1, -20), None], -50.0, 1, id="the next free one"),
        pytest.param(
            [occupant(1, -20), occupant(2, -40)], -30.0, 1, id="the quieter gives way to who is louder"
        ),
        pytest.param([occupant(1, -20), occupant(2, -40)], -36.0, None, id="not for four decibels"),
        pytest.param(
            [occupant(1, -20), occupant(2, -40, 0.1)], -20.0, None, id="not right after it was given"
        ),
        pytest.param(
            [occupant(1, -20), occupant(2, -90, 0.1)], -40.0, 1, id="who is silent gives way at once"
        ),
        pytest.param([occupant(1, -90), occupant(2, -90)], -70.0, None, id="noise takes nobody's slot"),
        pytest.param([], -10.0, None, id="no slots"),
    ],
)
def test_slots_go_to_the_loudest(occupants: list[Occupant | None], loudness: float, slot: int | None) -> None:
    assert choose_slot(occupants, loudness, NOW) == slot


def stream() -> SlotStream:
    return SlotStream(ssrc=9, sequence=65534, timestamp=0xFFFFFF00)


def say(slot: SlotStream, source: int, sequence: int, timestamp: int, now: float) -> Rewritten | None:
    return slot.rewrite(source, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, False, 100, now)


turns = st.lists(
    st.tuples(
        st.integers(1, 5),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(1, 30),
        st.integers(1, 250),
    ),
    min_size=1,
    max_size=8,
)


@given(turns)
def test_a_slot_is_one_stream_across_speakers_and_pauses(turns: list[tuple[int, int, int, int, int]]) -> None:
    slot = stream()
    now = NOW
    expected_sequence, sent_at, sent_timestamp = 65535, NOW, 0
    first = True
    for source, (number, sequence, timestamp, frames, pause) in enumerate(turns):
        now += pause * 0.02
        slot.give_to(number, now)
        for frame in range(frames):
            place = say(slot, source, sequence + frame, timestamp + FRAME_UNITS * frame, now)
            assert place is not None
            assert place.sequence == expected_sequence & 0xFFFF
            assert place.marker == (frame == 0)
            if not first:
                advanced = (place.timestamp - sent_timestamp) & 0xFFFFFFFF
                assert advanced == pytest.approx((now - sent_at) * 48000, abs=FRAME_UNITS)
            first = False
            expected_sequence, sent_at, sent_timestamp = expected_sequence + 1, now, place.timestamp
            now += 0.02


def test_a_gap_of_the_speaker_stays_a_gap_and_a_late_packet_fills_it() -> None:
    slot = stream()
    slot.give_to(1, NOW)
    places = [say(slot, 7, s, 960 * s, NOW + s / 50) for s in (10, 11, 14, 12)]
    sequences = [place.sequence for place in places if place]
    assert [(sequence - sequences[0]) & 0xFFFF for sequence in sequences] == [0, 1, 4, 2]


def test_what_is_older_than_the_turn_is_not_sent() -> None:
    slot = stream()
    slot.give_to(1, NOW)
    assert say(slot, 7, 10, 9600, NOW) is not None
    assert say(slot, 7, 9, 8640, NOW) is None


def test_redundancy_reaches_back_to_the_start_of_the_turn_and_no_further() -> None:
    slot = stream()
    slot.give_to(1, NOW)
    places = [say(slot, 7, s, 960 * s, NOW + s / 50) for s in range(3)]
    assert [place.max_offset for place in places if place] == [0, 960, 1920]


def test_dtx_keeps_the_speakers_own_time() -> None:
    slot = stream()
    slot.give_to(1, NOW)
    before = say(slot, 7, 1, 0, NOW)
    after = say(slot, 7, 2, 48000 * 3, NOW + 3.0)
    assert before is not None
    assert after is not None
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 48000 * 3
    assert not after.marker


def test_a_source_whose_clock_stood_still_over_a_pause_is_put_on_time() -> None:
    slot = stream()
    slot.give_to(1, NOW)
    before = say(slot, 7, 1, 0, NOW)
    after = say(slot, 7, 2, 960, NOW + 3.0)
    assert before is not None
    assert after is not None
    assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == 48000 * 3
    assert after.sequence == (before.sequence + 1) & 0xFFFF


@pytest.mark.parametrize("jump", [JUMP_PACKETS + 1, -JUMP_PACKETS - 1], ids=["ahead", "back"])
def test_a_jump_of_the_source_does_not_reach_listeners(jump: int) -> None:
    slot = stream()
    slot.give_to(1, NOW)
    before = say(slot, 7, 1000, 0, NOW)
    after = say(slot, 7, 1000 + jump, 960, NOW + 0.02)
    assert before is not None
    assert after is not None
    assert after.sequence == (before.sequence + 1) & 0xFFFF


def test_the_dominant_speaker_is_kept_through_pauses_and_replaced_by_who_is_clearly_louder() -> None:
    dominant = Dominant()
    assert dominant.judge([(1, -30.0), (2, -50.0)], NOW)
    assert dominant.number == 1
    assert not dominant.judge([(1, -80.0), (2, -127.0)], NOW + 1)
    assert not dominant.judge([(1, -35.0), (2, -32.0)], NOW + 2)
    assert not dominant.judge([(1, -50.0), (2, -30.0)], NOW + 3)
    assert dominant.judge([(1, -50.0), (2, -30.0)], NOW + 3.4)
    assert dominant.number == 2


def test_nobody_dominates_after_three_silent_seconds() -> None:
    dominant = Dominant()
    dominant.judge([(1, -30.0)], NOW)
    assert not dominant.judge([(1, -127.0)], NOW + 2.9)
    assert dominant.judge([(1, -127.0)], NOW + 3.1)
    assert dominant.number is None
