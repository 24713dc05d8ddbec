"""Devices and levels of a client, with a call and without."""

from __future__ import annotations

import pytest

from greenroom.engine.client import Client
from greenroom.errors import Misuse
from greenroom.media.audio_session import AudioSession
from greenroom.media.sources import Silence, Tone
from greenroom.state.call import CallPhase
from tests.backends.places import Memory

ROOM = "audio_room:room"


def lines(session: AudioSession) -> int:
    return int(session.measured()["microphone_lines"])


async def test_the_microphone_is_open_in_calls_and_while_somebody_tries_it_and_never_else() -> None:
    place = Memory(paced=False)
    with AudioSession(input="none", output="none") as session:
        async with Client(
            backend=place.backend("ann"), devices=session, paced=False, allow_multiple_active_calls=True
        ) as ann:
            assert lines(session) == 0, "in the lobby nobody needs it"
            await ann.try_microphone()
            assert lines(session) == 1
            await ann.try_microphone(False)
            assert lines(session) == 0
            one = await ann.join(ROOM, create=True)
            two = await ann.join("audio_room:two", create=True)
            assert lines(session) == 1, "one line for all calls"
            await ann.try_microphone()
            await one.leave()
            await ann.try_microphone(False)
            assert lines(session) == 1
            await two.leave()
            assert lines(session) == 0
            again = await ann.join(ROOM, create=True)
            assert lines(session) == 1
            ann.set_source(mine := Tone(440.0))
            await again.leave()
            assert lines(session) == 0
            await ann.step()
            assert ann._core.sound.source.source is mine, "somebody's own source stays"
        assert lines(session) == 0


async def test_a_microphone_that_opens_with_the_call_is_not_missing_meanwhile() -> None:
    place = Memory(paced=False)
    with AudioSession(input="none", output="none") as session:
        async with Client(backend=place.backend("ann"), devices=session, paced=False) as ann:
            call = await ann.join(ROOM, create=True, microphone=True)
            seen = await call.state.until(
                lambda state: "no microphone was chosen" in state.microphone.reason, 5.0
            )
            assert seen.phase is CallPhase.JOINED


async def test_levels_come_ten_times_a_second_beside_the_state() -> None:
    place = Memory(paced=False)
    async with Client(backend=place.backend("ann"), source=Tone(440.0, -20.0), paced=False) as ann:
        await ann.meters.until(lambda meters: meters.microphone_dbfs <= -96.0, 5.0)
        states: list[object] = []
        ann.state.subscribe(states.append, replay=False)
        await ann.try_microphone()
        heard = await ann.meters.until(lambda meters: meters.trying and meters.microphone_dbfs > -90.0, 5.0)
        assert heard.microphone_dbfs == pytest.approx(-20.0, abs=1.0)
        assert heard.microphone_peak_dbfs == pytest.approx(-17.0, abs=1.0)
        await ann.try_microphone(False)
        await ann.meters.until(lambda meters: not meters.trying and meters.microphone_dbfs <= -96.0, 5.0)
        assert states == [], "levels do not move the state"


async def test_a_chime_is_played_once_and_leaves_nothing_behind() -> None:
    async with Client(backend=Memory(paced=False).backend("ann"), source=Silence(), paced=False) as ann:
        await ann.play_chime()
        await ann.play_chime()
        loudest = max([abs(await ann.step()).max() for _ in range(30)])
        assert 0.05 < loudest < 0.12, "once, at −24 dBFS RMS"
        await ann.step()
        assert not (await ann.step()).any()
        await ann.meters.until(lambda meters: meters.loudspeaker_dbfs <= -96.0, 5.0)


async def test_a_client_without_devices_has_none_to_choose() -> None:
    async with Client(backend=Memory(paced=False).backend("ann"), paced=False) as ann:
        with pytest.raises(Misuse, match="without devices"):
            ann.choose_devices(input="yeti")
