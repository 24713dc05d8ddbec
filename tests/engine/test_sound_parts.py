"""One microphone for several calls, and what is remembered of what was heard."""

from __future__ import annotations

import numpy as np

from greenroom.engine.ears import PEOPLE_KEPT, Ears
from greenroom.engine.shared_source import SharedSource
from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.sources import Tone
from greenroom.protocol.ids import UserId

ANN = UserId("ann")


class Counting:
    """A source whose samples count up."""

    channels = 1

    def __init__(self) -> None:
        self.next = 0

    def read(self, frames: int) -> Block:
        self.next += frames
        return np.arange(self.next - frames, self.next, dtype=np.float32)[:, np.newaxis]

    def close(self) -> None:
        """Nothing is held."""


def test_every_call_hears_every_sample_of_the_one_microphone() -> None:
    source = Counting()
    shared = SharedSource(source)
    one, other = shared.branch(), shared.branch()
    for step in range(20):
        expected = np.arange(step * FRAME, (step + 1) * FRAME, dtype=np.float32)
        readers = (one, other) if step % 2 else (other, one)
        for branch in readers:
            assert np.array_equal(branch.read(FRAME)[:, 0], expected)
    assert source.next == 20 * FRAME, "it was read once, not twice"


def test_a_call_that_stops_reading_holds_nobody_up_and_keeps_only_a_tenth_of_a_second() -> None:
    shared = SharedSource(Counting())
    one, stalled = shared.branch(), shared.branch()
    for _ in range(50):
        one.read(FRAME)
    assert len(stalled.ring) == 5 * FRAME
    assert stalled.read(1)[0, 0] == 45 * FRAME


def test_a_closed_branch_is_forgotten_and_another_source_takes_over() -> None:
    first = Counting()
    shared = SharedSource(first)
    one, gone = shared.branch(), shared.branch()
    gone.close()
    gone.close()
    assert shared.replace(Tone(440.0, -20.0)) is first
    one.read(FRAME)
    assert (first.next, len(gone.ring)) == (0, 0)


def test_the_last_seconds_and_the_time_heard_are_kept_by_person() -> None:
    ears = Ears(keep_seconds=0.1)
    tone = Tone(440.0, -20.0)
    for _ in range(10):
        ears.hear(ANN, tone.read(FRAME))
    ears.hear(ANN, silence(FRAME))
    assert len(ears.last(ANN, 1.0)) == 5 * FRAME
    assert len(ears.last(ANN, 0.04)) == 2 * FRAME
    assert ears.heard_seconds()[ANN] == 0.2
    assert len(ears.last(UserId("nobody"), 1.0)) == 0


def test_only_the_people_heard_most_recently_are_kept() -> None:
    ears = Ears()
    for number in range(PEOPLE_KEPT + 1):
        ears.hear(UserId(f"p{number}"), silence(FRAME))
    assert len(ears.last(UserId("p0"), 1.0)) == 0
    assert len(ears.last(UserId("p1"), 1.0)) == FRAME
