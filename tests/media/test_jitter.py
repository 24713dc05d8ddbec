"""What the receive buffer makes of loss, reorder, pauses and jitter, stepped without a clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.media.blocks import FRAME
from greenroom.media.jitter import Decision, Fill, JitterBuffer, Play, Recover

PLAIN = bytes([0x78])  # Opus, 20 ms, no FEC (CELT)
WITH_FEC = bytes([0x48, 0xC0])  # SILK 20 ms: voice bit and FEC bit set


def payload(number: int, head: bytes = PLAIN) -> bytes:
    return head + number.to_bytes(4, "big")


def number_of(decision: Decision) -> int | None:
    return int.from_bytes(decision.payload[-4:], "big") if isinstance(decision, Play) else None


class Stream:
    """A sender and a listener in step: each tick, what arrives is pushed, then 20 ms are pulled."""

    def __init__(self, *, sequence: int = 100, timestamp: int = 5000, head: bytes = PLAIN) -> None:
        self.buffer = JitterBuffer()
        self.head = head
        self.pulled: list[Decision] = []
        self._sequence = sequence
        self._timestamp = timestamp

    def push(self, number: int, *, at: int | None = None, speaker: int = 7, red: int = 0) -> None:
        """Packet `number` with the timestamp of frame `at` (its own, unless paused before)."""
        redundant = [
            (FRAME * back, payload(number - back, self.head)) for back in range(min(red, number), 0, -1)
        ]
        self.buffer.push(
            (self._sequence + number) & 0xFFFF,
            (self._timestamp + FRAME * (number if at is None else at)) & 0xFFFFFFFF,
            payload(number, self.head),
            speaker,
            redundant,
        )

    def pull(self, times: int = 1, quiet: bool = False) -> None:
        self.pulled.extend(self.buffer.pull(quiet) for _ in range(times))

    def run(self, arrives: Callable[[int], list[int]], ticks: int, red: int = 0) -> None:
        for tick in range(ticks):
            for number in arrives(tick):
                self.push(number, red=red)
            self.pull()

    @property
    def played(self) -> list[int]:
        return [number for number in map(number_of, self.pulled) if number is not None]

    @property
    def missing(self) -> int:
        return sum(isinstance(decision, Fill) and decision.missing for decision in self.pulled)


def test_without_loss_every_packet_is_played_once_40_ms_after_it_came() -> None:
    stream = Stream()
    stream.run(lambda tick: [tick], 100)
    assert stream.played == list(range(99))
    assert stream.missing == 0
    assert stream.buffer.target_delay == 40 * 48


def test_one_lost_packet_costs_one_made_up_frame_and_no_delay() -> None:
    stream = Stream()
    stream.run(lambda tick: [] if tick == 50 else [tick], 100)
    assert stream.missing == 1
    assert stream.played == [number for number in range(99) if number != 50]
    assert number_of(stream.pulled[-1]) == 98
    counts = stream.buffer.counts[7]
    assert (counts.lost, counts.concealed, counts.late) == (1, 1, 0)


def test_a_tenth_lost_at_random_costs_a_tenth_and_delay_does_not_grow() -> None:
    chance, stream = random.Random(1), Stream()
    lost = {number for number in range(10, 2990) if chance.random() < 0.1}
    stream.run(lambda tick: [] if tick in lost else [tick], 3000)
    counts = stream.buffer.counts[7]
    assert counts.concealed == counts.lost == len(lost)
    assert number_of(stream.pulled[-1]) == 2998
    assert stream.buffer.target_delay == 40 * 48
    assert counts.late == 0


def test_fec_in_the_next_packet_replaces_the_lost_one() -> None:
    stream = Stream(head=WITH_FEC)
    stream.run(lambda tick: [] if tick == 50 else [tick], 100)
    recovered = [decision for decision in stream.pulled if isinstance(decision, Recover)]
    assert [decision.next_payload for decision in recovered] == [payload(51, WITH_FEC)]
    counts = stream.buffer.counts[7]
    assert (counts.lost, counts.recovered_fec, counts.concealed) == (1, 1, 0)


@pytest.mark.parametrize(("depth", "lost"), [(1, {50}), (2, {50, 60, 70, 71})])
def test_redundant_copies_replace_lost_packets(depth: int, lost: set[int]) -> None:
    stream = Stream()
    stream.buffer = JitterBuffer(shortest_delay=80 * 48)
    stream.run(lambda tick: [] if tick in lost else [tick], 100, red=depth)
    assert stream.played == list(range(97))
    counts = stream.buffer.counts[7]
    assert counts.recovered_red == counts.lost == len(lost)
    assert counts.concealed == 0


def test_packets_out_of_order_are_played_in_order() -> None:
    stream = Stream()
    swapped = {50: 51, 51: 50}
    stream.run(lambda tick: [swapped.get(tick, tick)], 100)
    assert stream.played == list(range(99))
    assert stream.missing == 0


def test_the_first_two_packets_out_of_order_are_both_played() -> None:
    stream = Stream()
    stream.run(lambda tick: [[1, 0], [], *([number] for number in range(2, 50))][tick], 50)
    assert stream.played[:4] == [0, 1, 2, 3]


def test_a_packet_that_comes_twice_is_played_once() -> None:
    stream = Stream()
    stream.run(lambda tick: [tick, tick], 50)
    assert stream.played == list(range(49))
    assert stream.buffer.counts[7].late == 0


def test_a_packet_after_its_time_is_counted_late_and_the_delay_grows_by_a_frame() -> None:
    stream = Stream()
    stream.run(lambda tick: [] if tick == 50 else ([tick, 50] if tick == 54 else [tick]), 100)
    counts = stream.buffer.counts[7]
    assert (counts.late, counts.lost) == (1, 1)
    assert stream.buffer.target_delay == 60 * 48
    assert number_of(stream.pulled[-1]) == 97


def test_a_pause_of_the_speaker_is_no_loss() -> None:
    stream = Stream()
    for tick in range(200):
        if tick < 50:
            stream.push(tick)
        elif tick >= 100:
            stream.push(tick - 50, at=tick)
        stream.pull()
    counts = stream.buffer.counts[7]
    assert stream.played == list(range(149))
    assert (counts.lost, counts.concealed, counts.late) == (0, 0, 0)


def test_a_short_pause_that_is_over_before_it_is_played_is_no_loss() -> None:
    stream = Stream()
    for tick in range(22):
        if tick != 10:
            number = tick if tick < 10 else tick - 1
            stream.push(number, at=tick)
        stream.pull()
    assert stream.played == list(range(20))
    assert stream.missing == 0


def test_after_a_pause_the_delay_is_the_target_again_whatever_drifted() -> None:
    stream = Stream()
    for number in range(50):
        stream.push(number)
        stream.pull()
    stream.pull(27)  # two pulls more than the sender's clock says
    for number in range(50, 80):
        stream.push(number, at=number + 25)
        stream.pull()
    assert stream.played[-1] == 78
    assert stream.buffer.counts[7].concealed == 0


@pytest.mark.parametrize(
    ("sequence", "timestamp"),
    [
        pytest.param(65_530, 5000, id="sequence numbers"),
        pytest.param(100, 2**32 - 20 * FRAME, id="timestamps"),
        pytest.param(65_500, 2**32 - 40 * FRAME, id="both"),
    ],
)
def test_wrapping_numbers_change_nothing(sequence: int, timestamp: int) -> None:
    stream = Stream(sequence=sequence, timestamp=timestamp)
    stream.run(lambda tick: [] if tick == 30 else [tick], 100)
    assert stream.played == [number for number in range(99) if number != 30]
    assert stream.buffer.counts[7].lost == 1


def test_jitter_makes_the_delay_grow_and_quiet_makes_it_shrink_again() -> None:
    chance, stream = random.Random(3), Stream()
    arriving: dict[int, list[int]] = {}
    for number in range(500):
        arriving.setdefault(number + chance.choice((0, 0, 0, 1, 3, 4)), []).append(number)
    stream.run(lambda tick: arriving.get(tick, []), 500)
    assert 60 * 48 <= stream.buffer.target_delay <= 200 * 48
    late_half = len([n for n in stream.played if n >= 250])
    assert late_half > 225
    for number in range(505, 3000):
        stream.push(number)
        stream.pull(quiet=True)
    assert stream.buffer.target_delay == 40 * 48
    assert stream.buffer.depth_ms <= 60


def test_a_burst_after_a_stall_is_played_late_rather_than_thrown_away() -> None:
    stream = Stream()
    stream.run(
        lambda tick: (
            [tick] if tick < 50 else ([] if tick < 56 else list(range(50, 57)) if tick == 56 else [tick])
        ),
        300,
    )
    assert len([number for number in stream.played if 50 <= number < 57]) >= 6
    assert (number_of(stream.pulled[-1]) or 0) >= 290


def test_more_than_enough_at_the_start_is_trimmed_within_a_second() -> None:
    stream = Stream()
    for number in range(6):
        stream.push(number)
    for number in range(6, 60):
        stream.push(number)
        stream.pull()
    assert stream.buffer.depth_ms <= 60


def test_when_nobody_pulled_for_long_the_newest_is_played_next() -> None:
    stream = Stream()
    for number in range(500):
        stream.push(number)
    stream.pull()
    assert (number_of(stream.pulled[-1]) or 0) >= 497


def test_another_stream_in_the_same_slot_starts_anew() -> None:
    stream = Stream()
    stream.run(lambda tick: [tick], 50)
    other = Stream(sequence=40_000, timestamp=9_000_000)
    other.buffer = stream.buffer
    other.run(lambda tick: [tick], 50)
    assert other.played[-1] == 48
    assert stream.buffer.counts[7].lost == 0


def test_each_frame_belongs_to_who_spoke_it() -> None:
    stream = Stream()
    for number in range(40):
        stream.push(number, speaker=1 if number < 20 else 2)
        stream.pull()
    speakers = [decision.speaker for decision in stream.pulled if isinstance(decision, Play)]
    assert speakers == [1] * 20 + [2] * 19


def test_a_packet_lost_beside_a_pause_is_one_loss() -> None:
    stream = Stream()
    for tick in range(60):
        if tick < 20 or tick >= 23:
            stream.push(tick if tick < 20 else tick - 2, at=tick)  # 20 is lost, then two frames of pause
        stream.pull()
    counts = stream.buffer.counts[7]
    assert (counts.lost, counts.concealed) == (1, 1)
    assert stream.played[-1] == 56


def test_a_timeline_that_jumps_ahead_costs_nothing_but_a_short_pause() -> None:
    stream = Stream()
    for tick in range(100):
        stream.push(tick, at=tick if tick < 50 else tick + 5000)
        stream.pull()
    assert stream.played[-1] >= 97
    assert len(stream.played) >= 97
    assert stream.buffer.counts[7].lost == 0


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("stalls", [1, 10])
def test_the_delay_after_stalls_is_soon_what_it_was_also_while_packets_are_lost(
    stalls: int, loss: float
) -> None:
    buffer, chance, due, waiting, depths = JitterBuffer(), random.Random(3), 0, list[int](), list[float]()
    end = 200 + 250 * stalls
    for tick in range(end + 2000):
        waiting.append(tick)
        if not 200 <= tick < end or (tick - 200) % 250 >= 7:  # 140 ms without a packet, every 5 s
            for number in waiting:
                if chance.random() >= loss:
                    buffer.push(number, number * FRAME, payload(number))
            waiting.clear()
        due += FRAME
        while due > 0:
            decision = buffer.pull(quiet=tick % 100 < 25)
            due -= decision.samples + (decision.stretch if isinstance(decision, Play) else 0)
        depths.append(buffer.depth_ms)
    assert sum(depths[end + 1000 :]) / 1000 < 58.0, "on average, from 20 to 40 s after the last stall"
    assert buffer.target_delay <= 60 * 48


@pytest.mark.parametrize("begins", [0, 1, 50], ids=["at once", "before anything is played", "within speech"])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_delay_is_long_enough_for_the_oldest_copy_while_packets_carry_copies(
    begins: int, depth: int
) -> None:
    stream = Stream()
    for number in range(120):
        stream.push(number, red=depth if number >= begins else 0)
        stream.pull(quiet=number % 5 == 0)
    assert stream.buffer.target_delay == (depth + 2) * FRAME
    waiting = (depth + 1) * 20.0  # a packet more at most, less what was just pulled
    assert waiting <= stream.buffer.depth_ms <= waiting + 20.0
    for number in range(120, 130):
        if number >= 120 + depth:  # as many are lost as a packet repeats
            stream.push(number, red=depth)
        stream.pull()
    assert stream.missing == 0
    assert stream.buffer.counts[7].recovered_red == depth, "the copies came in time"


def test_once_packets_carry_no_copies_any_more_the_delay_is_soon_the_shortest_again() -> None:
    stream = Stream()
    for number in range(1500):
        stream.push(number, red=2 if number < 100 else 0)
        stream.pull(quiet=number % 50 < 12)
        if number == 300:
            assert stream.buffer.target_delay == 80 * 48, "a few packets without are no sign yet"
    assert stream.buffer.target_delay == 40 * 48
    assert stream.buffer.depth_ms <= 40.0


@pytest.mark.parametrize("parts_per_million", [-200, 200])
def test_half_an_hour_with_another_clock_never_runs_dry_and_makes_no_lasting_delay(
    parts_per_million: int,
) -> None:
    stream, sent, deepest, due = Stream(), 0, 0.0, 0
    for tick in range(90_000):  # a voice without any pause, and never quiet
        while sent * (1 + parts_per_million / 1e6) <= tick + 0.5:
            stream.push(sent)
            sent += 1
        due += FRAME
        while due > 0:
            decision = stream.buffer.pull(quiet=False)
            due -= decision.samples + (decision.stretch if isinstance(decision, Play) else 0)
            assert isinstance(decision, Play) or tick < 5
        deepest = max(deepest, stream.buffer.depth_ms if tick > 100 else 0.0)
    counts = stream.buffer.counts[7]
    assert deepest <= 60.0
    assert (counts.lost, counts.late, counts.concealed) == (0, 0, 0)
    assert counts.packets - 90_000 == pytest.approx(-90_000 * parts_per_million / 1e6, abs=3)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(-40, 40),
            st.integers(-6000, 6000),
            st.sampled_from([PLAIN, WITH_FEC, b"\x78", b"\x5b\x03", b""]),
            st.integers(0, 3),
        ),
        max_size=200,
    )
)
def test_whatever_arrives_time_goes_on(turns: list[tuple[int, int, int, bytes, int]]) -> None:
    buffer, sequence, timestamp = JitterBuffer(), 65_500, 2**32 - 50_000
    for pulls, steps, drift, body, speaker in turns:
        sequence, timestamp = sequence + steps, timestamp + steps * FRAME + drift
        buffer.push(sequence & 0xFFFF, timestamp & 0xFFFFFFFF, body, speaker, [(FRAME, body)])
        for _ in range(pulls):
            decision = buffer.pull(quiet=steps > 0)
            assert 0 < decision.samples <= 5760
        assert 0.0 <= buffer.depth_ms < 60_000
        assert 40 * 48 <= buffer.target_delay <= 200 * 48


def test_garbage_is_ignored() -> None:
    buffer = JitterBuffer()
    for junk in (b"", b"\x5b\x03", b"\x4b"):
        buffer.push(1, 1, junk)
    assert buffer.idle
    assert isinstance(buffer.pull(), Fill)


def test_a_slot_in_which_nobody_speaks_becomes_idle_after_a_second() -> None:
    stream = Stream()
    stream.run(lambda tick: [tick], 20)
    stream.pull(45)
    assert not stream.buffer.idle
    stream.pull(10)
    assert stream.buffer.idle
