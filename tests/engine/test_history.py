"""What is sampled over time: statistics with their worth, as arrays too, and speech into a closed microphone."""

from __future__ import annotations

import numpy as np
import pytest

from greenroom.engine.history import COLUMNS, PERSON_COLUMNS, as_arrays, person_arrays
from greenroom.engine.statistics import Sampler
from greenroom.engine.stats import KEPT, Measurements
from greenroom.errors import Misuse
from greenroom.media.sources import Tone
from greenroom.media.statistics import MediaStatistics, ReceivedStatistics, SentStatistics
from greenroom.protocol.ids import UserId
from greenroom.state.statistics import CallStatistics, PersonStatistics
from tests.backends.places import Memory, client


def sampled(*frames_and_concealed: tuple[int, int]) -> list[CallStatistics]:
    """Samples two seconds apart, with these totals."""
    sampler = Sampler()
    return [
        sampler.sample(
            MediaStatistics(
                SentStatistics(),
                ReceivedStatistics(
                    frames=frames,
                    concealed=concealed,
                    played_samples=frames * 960,
                    concealed_samples=concealed * 960,
                    buffer_ms=40.0,
                ),
            ),
            {},
            10.0 + 2.0 * place,
        )
        for place, (frames, concealed) in enumerate(frames_and_concealed)
    ]


def test_the_opinion_is_of_the_last_sample_and_not_of_the_whole_call() -> None:
    bad, good, silent = sampled((100, 30), (200, 30), (200, 30))
    assert bad.mean_opinion is not None
    assert good.mean_opinion is not None
    assert bad.mean_opinion < 2.0
    assert good.mean_opinion > 4.2
    assert silent.mean_opinion is None


def test_samples_become_arrays_with_nan_for_what_was_not_known() -> None:
    arrays = as_arrays(sampled((0, 0), (100, 0)))
    assert set(arrays) == set(COLUMNS)
    assert arrays["at"].tolist() == [10.0, 12.0]
    assert np.isnan(arrays["mean_opinion"]).tolist() == [True, False]
    assert np.isnan(arrays["rtt_ms"]).all()
    assert all(array.dtype == np.float64 and array.shape == (2,) for array in arrays.values())
    assert len(as_arrays([])["at"]) == 0


def test_a_person_has_arrays_too_with_nan_while_they_were_not_heard() -> None:
    bo = PersonStatistics(kbps=31.0, lost_fraction=0.1)
    samples = [CallStatistics(10.0), CallStatistics(12.0, by_person={UserId("bo"): bo})]
    arrays = person_arrays(samples, UserId("bo"))
    assert set(arrays) == {"at", *PERSON_COLUMNS}
    assert arrays["at"].tolist() == [10.0, 12.0]
    assert np.isnan(arrays["kbps"]).tolist() == [True, False]
    assert arrays["lost_fraction"][1] == 0.1


async def test_statistics_come_as_a_stream_can_be_stopped_and_end_with_the_call() -> None:
    place = Memory()
    async with client(place, "ann") as ann:
        call = await ann.join("audio_room:room", create=True)
        await call.sound_connected()
        membership = ann._core.memberships[call.cid]
        membership.sample(100.0, statistics=True)
        stream = call.stats.stream()
        first = await anext(stream)
        assert first is call.stats.latest is call.state.value.statistics
        seen: list[CallStatistics] = []
        call.stats.subscribe(seen.append)
        call.stats.stop()
        membership.sample(102.0, statistics=True)
        assert call.stats.latest is first
        assert not call.stats.running
        call.stats.start()
        membership.sample(104.0, statistics=True)
        assert (await anext(stream)).at == 104.0
        assert [sample.at for sample in seen] == [100.0, 104.0]
        assert [sample.at for sample in call.statistics] == [100.0, 104.0]
        assert call.stats.to_w3c()[-1]["type"] == "outbound-rtp"
        await call.leave()
        assert [sample async for sample in stream] == []
        assert len(call.stats.history) == 2, "what was kept stays"
        for switch in (call.stats.start, call.stats.stop):
            with pytest.raises(Misuse, match="over"):
                switch()


def test_ten_minutes_are_kept() -> None:
    measurements = Measurements()
    for place in range(KEPT + 7):
        measurements.take(CallStatistics(float(place)))
    assert len(measurements.kept) == 300
    assert measurements.kept[-1] is measurements.latest.value


async def test_who_speaks_with_a_closed_microphone_is_told() -> None:
    place = Memory()
    async with client(place, "ann", source=Tone(440.0, -20.0)) as ann:
        call = await ann.join("audio_room:room", create=True, microphone=False)
        await call.state.until(lambda state: any("switched off" in n.text for n in state.notices), 5.0)
        assert not call.state.value.microphone.open
