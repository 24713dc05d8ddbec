"""What is sampled over time: statistics with their worth, as arrays too, and speech into a closed microphone."""

from __future__ import annotations

import numpy as np

from greenroom.engine.folding import call_statistics
from greenroom.engine.history import COLUMNS, as_arrays
from greenroom.media.sources import Tone
from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.state.call import CallStatistics
from tests.backends.places import Memory, client


def sampled(frames: int, concealed: int, before: CallStatistics | None, at: float) -> CallStatistics:
    received = ReceivedStatistics(frames=frames, concealed=concealed, buffer_ms=40.0)
    return call_statistics(MediaStatistics(SentStatistics(), received), {}, at, before, (0, 0))


def test_the_opinion_is_of_the_last_sample_and_not_of_the_whole_call() -> None:
    bad = sampled(100, 30, None, 0.0)
    good = sampled(200, 30, bad, 2.0)
    silent = sampled(200, 30, good, 4.0)
    assert bad.mean_opinion is not None
    assert good.mean_opinion is not None
    assert bad.mean_opinion < 2.0
    assert good.mean_opinion > 4.2
    assert silent.mean_opinion is None


def test_samples_become_arrays_with_nan_for_what_was_not_known() -> None:
    first = sampled(0, 0, None, 10.0)
    arrays = as_arrays([first, sampled(100, 0, first, 12.0)])
    assert set(arrays) == set(COLUMNS)
    assert arrays["at"].tolist() == [10.0, 12.0]
    assert np.isnan(arrays["mean_opinion"]).tolist() == [True, False]
    assert np.isnan(arrays["rtt_ms"]).all()
    assert all(array.dtype == np.float64 and len(array) == 2 for array in arrays.values())
    assert len(as_arrays([])["at"]) == 0


async def test_who_speaks_with_a_closed_microphone_is_told() -> None:
    place = Memory()
    async with client(place, "ann", source=Tone(440.0, -20.0)) as ann:
        call = await ann.join("audio_room:room", create=True, microphone=False)
        await call.state.until(lambda state: any("switched off" in n.text for n in state.notices), 5.0)
        assert not call.state.value.microphone.open
