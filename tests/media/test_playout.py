"""Several calls on one sink: gains, fades, taps; stepped without a clock."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import level_dbfs, tone_dbfs
from greenroom.media.playout import Playout
from greenroom.media.sinks import Meter
from greenroom.media.sources import Tone
from tests.media.sound import assert_no_click, assert_tone, until


class ToneCall:
    """A call in which people, by number, say tones."""

    def __init__(self, **people: float) -> None:
        self._tones = {int(number[1:]): Tone(hertz, -20.0) for number, hertz in people.items()}
        self.pulled_frames = 0

    def pull(self, frames: int = FRAME) -> dict[int, Block]:
        self.pulled_frames += frames
        return {number: tone.read(frames) for number, tone in self._tones.items()}


def play(playout: Playout, steps: int) -> Block:
    return np.concatenate([playout.step() for _ in range(steps)])


def test_people_of_several_calls_are_heard_together() -> None:
    meter = Meter()
    playout = Playout(meter)
    playout.add("work", ToneCall(_1=300.0, _2=700.0))
    playout.add("family", ToneCall(_1=1100.0))
    heard = play(playout, 50)[9600:]
    for frequency in (300.0, 700.0, 1100.0):
        assert tone_dbfs(heard, frequency) == pytest.approx(-20.0, abs=0.2)
    assert playout.calls == ("work", "family")
    assert np.array_equal(meter.recent()[-FRAME:], heard[-FRAME:])


def test_a_ducked_call_is_12_db_softer_and_still_pulled() -> None:
    playout, family = Playout(Meter()), ToneCall(_1=1100.0)
    playout.add("work", ToneCall(_1=300.0))
    playout.add("family", family)
    play(playout, 10)
    playout.set_gain("family", 0.25, seconds=0.08)
    heard = play(playout, 50)[9600:]
    assert tone_dbfs(heard, 1100.0) == pytest.approx(-32.0, abs=0.2)
    assert tone_dbfs(heard, 300.0) == pytest.approx(-20.0, abs=0.2)
    playout.set_gain("family", 0.0)
    play(playout, 10)
    assert family.pulled_frames == 70 * FRAME


def test_one_person_can_be_turned_down_before_and_while_they_are_heard() -> None:
    playout = Playout(Meter())
    playout.add("work", ToneCall(_1=300.0, _2=700.0))
    playout.set_person_gain("work", 2, 0.1)
    heard = play(playout, 50)[9600:]
    assert tone_dbfs(heard, 700.0) == pytest.approx(-40.0, abs=0.2)
    playout.set_person_gain("work", 1, 0.0)
    assert tone_dbfs(play(playout, 50)[9600:], 300.0) < -80.0


def test_calls_and_people_have_their_places() -> None:
    playout = Playout(Meter(channels=2))
    playout.add("work", ToneCall(_1=300.0), pan=-1.0)
    playout.add("family", ToneCall(_1=700.0, _2=1100.0))
    playout.set_pan("family", 1.0)
    playout.set_person_pan("family", 2, -1.0)
    heard = play(playout, 50)[9600:]
    assert tone_dbfs(heard[:, :1], 300.0) == pytest.approx(-17.0, abs=0.2)
    assert tone_dbfs(heard[:, 1:], 300.0) < -80.0
    assert tone_dbfs(heard[:, 1:], 700.0) == pytest.approx(-17.0, abs=0.2)
    assert tone_dbfs(heard[:, :1], 700.0) < -80.0
    assert tone_dbfs(heard[:, :1], 1100.0) < -80.0, "the place in a call is within the place of the call"


@pytest.mark.parametrize("change", ["removed", "suspended", "resumed", "added"])
def test_a_change_has_no_click(change: str) -> None:
    playout = Playout(Meter())
    if change != "added":
        playout.add("work", ToneCall(_1=300.0), gain=0.0 if change == "resumed" else 1.0)
    pieces = [play(playout, 10)]
    match change:
        case "removed":
            playout.remove("work")
        case "suspended":
            playout.set_gain("work", 0.0)
        case "resumed":
            playout.set_gain("work", 1.0)
        case "added":
            playout.add("work", ToneCall(_1=300.0))
    pieces.append(play(playout, 10))
    sound = np.concatenate(pieces)
    assert_no_click(sound)
    ends_silent = change in ("removed", "suspended")
    assert level_dbfs(sound[-4800:]) == pytest.approx(-96.0 if ends_silent else -20.0, abs=0.2)


def test_a_removed_call_is_let_go_of() -> None:
    playout, call = Playout(Meter()), ToneCall(_1=300.0)
    playout.add("work", call)
    playout.remove("work")
    playout.remove("work")
    play(playout, 5)
    assert playout.calls == ()
    assert call.pulled_frames == FRAME


def test_a_call_added_again_is_heard_again() -> None:
    playout = Playout(Meter())
    playout.add("work", ToneCall(_1=300.0))
    play(playout, 5)
    playout.remove("work")
    playout.add("work", ToneCall(_1=300.0))
    assert_tone(play(playout, 50)[9600:, :1], 300.0, -20.0)


def test_taps_hear_each_person_of_each_call_before_any_gain_until_stopped() -> None:
    playout = Playout(Meter())
    playout.add("work", ToneCall(_1=300.0, _2=700.0), gain=0.0)
    heard: list[tuple[str, int, float]] = []
    stop = playout.tap(lambda call, number, block: heard.append((call, number, round(level_dbfs(block)))))
    playout.step()
    assert heard == [("work", 1, -20), ("work", 2, -20)]
    stop()
    stop()
    playout.step()
    assert len(heard) == 2


def test_the_sink_changes_without_a_click_on_either() -> None:
    first, second = Meter(), Meter()
    playout = Playout(first)
    playout.add("work", ToneCall(_1=300.0))
    play(playout, 10)
    playout.replace_sink(second)
    play(playout, 10)
    assert len(first.recent()) == 11 * FRAME
    assert len(second.recent()) == 10 * FRAME
    assert_no_click(np.concatenate([first.recent(), silence(FRAME)]))
    assert_no_click(np.concatenate([silence(FRAME), second.recent()]))


def test_a_sink_that_is_replaced_twice_at_once_is_left_without_a_click_and_the_one_between_hears_nothing() -> (
    None
):
    first, between, last = Meter(), Meter(), Meter()
    playout = Playout(first)
    playout.add("work", ToneCall(_1=311.0))
    play(playout, 10)
    playout.replace_sink(between)
    playout.replace_sink(last)
    play(playout, 10)
    assert_no_click(np.concatenate([first.recent(), silence(FRAME)]))
    assert_no_click(np.concatenate([silence(FRAME), last.recent()]))
    assert not between.recent().any()
    playout.replace_sink(first)
    playout.replace_sink(last)
    play(playout, 10)
    assert_no_click(np.concatenate([silence(FRAME), last.recent()]))


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "removed and added at once"])
def test_a_connection_that_is_made_anew_is_faded_over_to(gone: bool) -> None:
    playout = Playout(Meter())
    playout.add("work", ToneCall(_1=311.0))
    before = play(playout, 10)
    if gone:
        playout.remove("work")
    anew = ToneCall(_1=311.0)
    anew.pull(333)
    playout.add("work", anew)
    heard = np.concatenate([before, play(playout, 10)])
    assert_no_click(heard)
    assert level_dbfs(heard[-4800:]) == pytest.approx(-20.0, abs=0.2)


def test_a_call_that_is_removed_while_it_fades_slowly_ends_without_a_click() -> None:
    playout = Playout(Meter())
    playout.add("work", ToneCall(_1=311.0))
    before = play(playout, 10)
    playout.set_gain("work", 0.0, seconds=0.4)
    during = play(playout, 3)
    playout.remove("work")
    assert_no_click(np.concatenate([before, during, play(playout, 5)]))


def test_nobody_is_silence() -> None:
    assert not Playout(Meter()).step().any()


async def test_run_keeps_the_pace_of_the_clock() -> None:
    meter = Meter()
    playout, call = Playout(meter), ToneCall(_1=300.0)
    playout.add("work", call)
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = asyncio.create_task(playout.run())
    await until(lambda: call.pulled_frames >= 25 * FRAME, "half a second is played")
    took_seconds = loop.time() - began
    running.cancel()
    assert took_seconds == pytest.approx(0.48, abs=0.15)
