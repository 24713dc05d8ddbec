"""One microphone for several calls, and what is remembered of what was heard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from greenroom.engine.ears import PEOPLE_KEPT, Ears
from greenroom.engine.shared_source import Branch, SharedSource
from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.media.sources import Tone
from greenroom.protocol.ids import UserId
from greenroom.state.audio import NoiseSuppression, Processing
from tests.media.room import Room, echo_of, noise, power_dbfs, speech
from tests.media.sound import assert_no_click, assert_tone, click_ratio

ANN = UserId("ann")


def counted(start: int, end: int) -> Block:
    return np.ldexp(np.arange(start, end, dtype=np.float32), -20)[:, np.newaxis]


class Counting:
    """A source whose samples count up, in millionths (2 to the −20) of full scale."""

    channels = 1

    def __init__(self) -> None:
        self.next = 0

    def read(self, frames: int) -> Block:
        self.next += frames
        return counted(self.next - frames, self.next)

    def close(self) -> None:
        """Nothing is held."""


def test_every_call_hears_every_sample_of_the_one_microphone() -> None:
    source = Counting()
    shared = SharedSource(source)
    one, other = shared.branch(), shared.branch()
    for step in range(20):
        expected = counted(step * FRAME, (step + 1) * FRAME)
        readers = (one, other) if step % 2 else (other, one)
        for branch in readers:
            assert np.array_equal(branch.read(FRAME), expected)
    assert source.next == 20 * FRAME, "it was read once, not twice"


def test_a_call_that_stops_reading_holds_nobody_up_and_keeps_only_a_tenth_of_a_second() -> None:
    shared = SharedSource(Counting())
    one, stalled = shared.branch(), shared.branch()
    for _ in range(50):
        one.read(FRAME)
    assert len(stalled.ring) == 5 * FRAME
    assert stalled.read(1)[0, 0] == np.ldexp(45 * FRAME, -20)


def test_a_closed_branch_is_forgotten_and_another_source_takes_over() -> None:
    first = Counting()
    shared = SharedSource(first)
    one, gone = shared.branch(), shared.branch()
    gone.close()
    gone.close()
    assert shared.replace(Tone(440.0, -20.0)) is first
    one.read(FRAME)
    assert (first.next, len(gone.ring)) == (FRAME, 0), "the first is read once more, to be faded out"


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


NOTHING = Processing()
NOISE = Processing(noise_suppression=NoiseSuppression.NORMAL)
ECHO = Processing(echo_cancellation=True)


def read(branch: Branch, seconds: float) -> Block:
    return np.concatenate([branch.read(FRAME) for _ in range(round(seconds * 50))])


def test_without_processing_every_sample_is_exactly_what_was_read() -> None:
    heard = speech(1.0, -20.0)
    shared = SharedSource(Room(heard))
    plain, treated = shared.branch(NOTHING), shared.branch(NOISE)
    alike = read(plain, 1.0)
    assert np.array_equal(alike, heard)
    assert not np.array_equal(read(treated, 0.04), heard[: 2 * FRAME])


def test_calls_that_ask_the_same_share_one_treatment_and_others_have_their_own() -> None:
    room = Room(noise(4.0, -40.0))
    shared = SharedSource(room)
    wishes = (NOTHING, NOISE, NOISE, Processing(gain_control=True))
    branches = [shared.branch(wanted) for wanted in wishes]
    heard = [
        np.concatenate(one)
        for one in zip(*([b.read(FRAME) for b in branches] for _ in range(200)), strict=True)
    ]
    assert (room.reads, shared.treatments) == (200, 2)
    untouched, quiet, same, raised = (power_dbfs(one[3 * 48_000 :]) for one in heard)
    assert np.array_equal(heard[1], heard[2])
    assert untouched == pytest.approx(-40.0, abs=0.2)
    assert quiet <= -50.0
    assert raised > -50.0
    assert same == quiet


def test_what_our_loudspeaker_plays_is_not_sent_back() -> None:
    played = speech(5.0, -22.0)
    room = Room(echo_of(played) + noise(5.0, -66.0), played)
    sent = read(SharedSource(room).branch(ECHO), 5.0)
    late = slice(2 * 48_000, None)
    assert power_dbfs(echo_of(played)[late]) - power_dbfs(sent[late]) >= 20.0


def test_what_is_played_may_also_be_told_by_whoever_plays_it() -> None:
    played = speech(5.0, -22.0)
    shared = SharedSource(Room(echo_of(played) + noise(5.0, -66.0)))
    branch = shared.branch(ECHO)
    sent = []
    for at in range(0, len(played), FRAME):
        shared.played(np.repeat(played[at : at + FRAME], 2, axis=1))
        sent.append(branch.read(FRAME))
    late = slice(2 * 48_000, None)
    assert power_dbfs(echo_of(played)[late]) - power_dbfs(np.concatenate(sent)[late]) >= 20.0


@pytest.mark.parametrize("webrtc", [True, False])
def test_another_wish_acts_within_40_ms_without_a_click(webrtc: bool) -> None:
    tone = Tone(300.0, -12.0).read(96_000)
    shared = SharedSource(Room(tone), webrtc=webrtc)
    branch = shared.branch(NOTHING)
    before = read(branch, 0.5)
    branch.treat(Processing(gain_control=True))
    assert shared.treatments == 1
    after = read(branch, 1.0)
    branch.treat(NOTHING)
    again = read(branch, 0.2)
    whole = np.concatenate([before, after, again])
    assert click_ratio(whole, after[24_000:]) < 2.0, "no rougher than the treated tone itself"
    assert np.array_equal(again[2 * FRAME :], tone[72_000 + 2 * FRAME :][: len(again) - 2 * FRAME])


def test_a_file_is_sent_as_it_is_and_a_microphone_after_it_is_treated() -> None:
    shared = SharedSource(Tone(440.0, -20.0))
    told: list[bool] = []
    shared.on_acting = lambda: told.append(True)
    branch = shared.branch(NOISE)
    assert (shared.acting(NOISE).by, shared.treatments) == ("none", 0)
    assert np.array_equal(branch.read(FRAME), Tone(440.0, -20.0).read(FRAME))
    shared.replace(Room(noise(2.0, -40.0)))
    assert told == [True]
    assert (shared.acting(NOISE).by, shared.treatments) == ("webrtc", 1)
    assert power_dbfs(read(branch, 1.5)[48_000:]) <= -50.0


def test_without_the_extra_noise_is_still_treated_and_two_wishes_that_differ_in_echo_alone_are_one() -> None:
    shared = SharedSource(Room(noise(4.0, -40.0)), webrtc=False)
    asks_echo = Processing(True, NoiseSuppression.NORMAL)
    one, other = shared.branch(NOISE), shared.branch(asks_echo)
    assert shared.treatments == 1
    assert power_dbfs(read(one, 4.0)[3 * 48_000 :]) <= -50.0
    assert "needs more" in shared.acting(asks_echo).reason
    assert len(other.ring) > 0


def test_blocks_of_any_length_are_treated_in_whole_steps_of_10_ms() -> None:
    heard = noise(2.0, -40.0)
    whole, pieces = SharedSource(Room(heard)).branch(NOISE), SharedSource(Room(heard)).branch(NOISE)
    odd = np.concatenate([pieces.read(frames) for frames in (100, 480, 700, 960, 1440) for _ in range(10)])
    assert np.allclose(odd, read(whole, len(odd) / 48_000 + 0.1)[: len(odd)], atol=1e-6)


class Broken:
    """A source as somebody might write it: a few good blocks, then what `give` makes of the next."""

    channels = 1

    def __init__(self, give: Callable[[int], object]) -> None:
        self._give = give
        self._tone = Tone(300.0, -20.0)
        self.good = 5

    def read(self, frames: int) -> Block:
        self.good -= 1
        return self._tone.read(frames) if self.good >= 0 else self._give(frames)  # type: ignore[return-value]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("give", "words"),
    [
        pytest.param(lambda frames: 1 / 0, "the source failed: ZeroDivisionError", id="raises"),
        pytest.param(lambda frames: silence(frames - 1), "instead of (960, 1)", id="too little"),
        pytest.param(lambda frames: silence(frames, 2), "instead of (960, 1)", id="other channels"),
        pytest.param(
            lambda frames: np.ones((frames, 1), np.int16), "int16 samples instead of float32", id="int"
        ),
        pytest.param(lambda frames: None, "NoneType instead of float32", id="nothing"),
    ],
)
def test_a_source_that_breaks_is_silent_and_says_why_once_and_another_can_take_over(
    give: Callable[[int], object], words: str
) -> None:
    shared, told = SharedSource(Broken(give)), list[str]()
    shared.on_failed = told.append
    one, other = shared.branch(), shared.branch()
    for _ in range(10):
        block = one.read(FRAME)
        assert np.array_equal(other.read(FRAME), block)
    assert not block.any()
    assert len(told) == 1
    assert words in told[0]
    shared.replace(Tone(440.0, -20.0))
    assert_tone(np.concatenate([one.read(FRAME) for _ in range(50)])[9600:], 440.0, -20.0)


def test_samples_that_are_no_numbers_or_beyond_full_scale_reach_nobody() -> None:
    class Wild(Broken):
        def read(self, frames: int) -> Block:
            block = super().read(frames)
            block[::7] = np.nan
            block[1::7] = np.inf
            block[2::7] = -7.0
            self.good = 5
            return block

    shared = SharedSource(Wild(silence))
    block = shared.branch().read(FRAME)
    assert np.isfinite(block).all()
    assert np.abs(block).max() <= 1.0


def test_another_source_takes_over_without_a_click() -> None:
    shared = SharedSource(Tone(311.0, -20.0))
    branch = shared.branch()
    pieces = [branch.read(FRAME) for _ in range(10)]
    shared.replace(Tone(457.0, -20.0))
    pieces += [branch.read(FRAME) for _ in range(10)]
    assert_no_click(np.concatenate(pieces))


def test_a_branch_that_was_closed_is_silent_and_takes_nothing_from_the_others() -> None:
    shared = SharedSource(Tone(440.0))
    left, kept = shared.branch(), shared.branch()
    assert level_dbfs(left.read(FRAME)) == pytest.approx(-20.0, abs=1.0)
    left.close()
    assert level_dbfs(left.read(FRAME)) == SILENCE_DBFS
    assert level_dbfs(kept.read(FRAME)) == pytest.approx(-20.0, abs=1.0)
