"""Engines in a call for long, faster than real time: what they hold does not grow."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import numpy as np
import pytest

from greenroom.engine.thread import EngineThread
from greenroom.media.blocks import FRAME
from greenroom.media.sinks import Meter
from greenroom.media.sources import Tone
from tests.backends.places import Memory, client
from tests.media.sound import assert_no_click

ROOM = "audio_room:standup"
STEPS_A_MINUTE = 3000


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    ("times", "steps"),
    [
        pytest.param(3, STEPS_A_MINUTE // 3, id="a minute"),
        pytest.param(30, STEPS_A_MINUTE, id="half an hour", marks=pytest.mark.long),
    ],
)
async def test_memory_is_flat_over_minutes_of_talk(times: int, steps: int) -> None:
    place, engine = Memory(paced=False), EngineThread()
    meters = {name: Meter() for name in ("ann", "ben", "cal")}
    async with (
        client(place, "ann", source=Tone(300.0), sink=meters["ann"], engine=engine, paced=False) as ann,
        client(place, "ben", source=Tone(457.0), sink=meters["ben"], engine=engine, paced=False) as ben,
        client(place, "cal", sink=meters["cal"], engine=engine, paced=False) as cal,
    ):
        hosting = await ann.join(ROOM, create=True, microphone=True)
        await hosting.go_live()
        calls = [hosting, await ben.join(ROOM), await cal.join(ROOM)]
        for call in calls:
            await call.sound_connected()
        await hosting.grant(place.ben)
        await calls[1].set_microphone(True)
        playouts = [one._core.sound.playout for one in (ann, ben, cal)]

        async def talk(steps: int) -> None:
            for _ in range(steps):
                place.world.step()
                for playout in playouts:
                    playout.step()
                await asyncio.sleep(0)

        resident = 0
        for time in range(times):
            await engine.run(talk(steps))
            heard = meters["cal"].recent(1.0)
            assert len(heard) == 50 * FRAME
            assert np.abs(heard).max() > 0.1, "both are heard all the time"
            assert_no_click(heard)
            await hosting.post(f"message {time}")
            if time == 0:
                resident = resident_bytes()
        assert resident_bytes() - resident < 4_000_000
