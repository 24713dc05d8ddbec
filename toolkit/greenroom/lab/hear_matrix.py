"""Who hears whom, in dB, measured on what comes out of everybody's loudspeaker: each person's voice is a tone of their own.

`Rig` is a handful of people in rooms in memory whose sound is stepped, faster than real time; `measure` takes any
recordings. What state promises is `promised`; what is heard without having been promised is a leak.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

import msgspec

from greenroom.backends.base import Backend
from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.engine.thread import EngineThread
from greenroom.media.blocks import FRAME, FRAME_SECONDS, Block
from greenroom.media.dsp import SILENCE_DBFS, tone_dbfs
from greenroom.media.sinks import Meter
from greenroom.media.sources import AudioSource, Tone
from greenroom.protocol.ids import Cid
from greenroom.state.call import CallPhase
from greenroom.state.engine import ClientState
from greenroom.state.focus import MultiCallPolicy

FIRST_PILOT_HZ = 400.0
PILOTS_APART_HZ = 250.0
PILOT_DBFS = -23.0
HEARD_ABOVE_DBFS = -60.0
_KEPT_SECONDS = 4.0


class HearMatrix(msgspec.Struct, frozen=True):
    """`levels[listener][speaker]` in dBFS, -96.0 where nothing is heard. Nobody is in their own row."""

    levels: Mapping[str, Mapping[str, float]]

    def level(self, listener: str, speaker: str) -> float:
        """Return how loud `listener` hears `speaker`, in dBFS."""
        return self.levels.get(listener, {}).get(speaker, SILENCE_DBFS)

    def heard(self, above_dbfs: float = HEARD_ABOVE_DBFS) -> frozenset[tuple[str, str]]:
        """Return the pairs (listener, speaker) that are heard."""
        return frozenset(
            (listener, speaker)
            for listener, row in self.levels.items()
            for speaker, level in row.items()
            if level > above_dbfs
        )

    def leak_db(self, allowed: Iterable[tuple[str, str]]) -> float:
        """Return how loud the loudest pair outside `allowed` is against the loudest inside, in dB.

        -96.0 where nothing leaks, and where nobody is heard at all.
        """
        may = frozenset(allowed)
        inside, outside = SILENCE_DBFS, SILENCE_DBFS
        for listener, row in self.levels.items():
            for speaker, level in row.items():
                if (listener, speaker) in may:
                    inside = max(inside, level)
                else:
                    outside = max(outside, level)
        if outside <= SILENCE_DBFS:
            return SILENCE_DBFS
        return max(SILENCE_DBFS, outside - inside)

    def table(self) -> str:
        """Return the matrix as text: a row for each listener, a column for each speaker, `·` for silence."""
        speakers = sorted({speaker for row in self.levels.values() for speaker in row} | set(self.levels))
        width = max([5, *(len(name) for name in speakers)]) + 1
        head = " " * width + "".join(f"{name:>{width}}" for name in speakers)
        rows = [
            f"{listener:<{width}}"
            + "".join(
                f"{'' if name == listener else _shown(self.level(listener, name)):>{width}}"
                for name in speakers
            )
            for listener in self.levels
        ]
        return "\n".join(line.rstrip() for line in [head, *rows])


def pilot_hz(place: int) -> float:
    """Return the tone of the person at `place` (from 0): 400 Hz, and 250 Hz more for each."""
    return FIRST_PILOT_HZ + PILOTS_APART_HZ * place


def pilot_dbfs(sound: Block, frequency_hz: float) -> float:
    """Return the level of a tone in `sound`, shape (frames, channels), in dBFS: its power, the mean of the channels."""
    levels = [tone_dbfs(sound[:, channel], frequency_hz) for channel in range(sound.shape[1])]
    power = sum(10.0 ** (level / 10.0) for level in levels if level > SILENCE_DBFS) / max(1, len(levels))
    return SILENCE_DBFS if power <= 0.0 else max(SILENCE_DBFS, 10.0 * math.log10(power))


def measure(sounds: Mapping[str, Block], pilots_hz: Mapping[str, float]) -> HearMatrix:
    """Return who hears whom: `sounds` is what came out at each listener, `pilots_hz` each speaker's tone.

    Half a second of sound and 200 Hz between tones are enough for 90 dB.
    """
    return HearMatrix(
        {
            listener: {
                speaker: round(pilot_dbfs(sound, hertz), 1)
                for speaker, hertz in pilots_hz.items()
                if speaker != listener
            }
            for listener, sound in sounds.items()
        }
    )


def promised(people: Mapping[str, ClientState]) -> dict[tuple[str, str], float]:
    """Return by (listener, speaker) what the states of all promise: the gain in dB at which one hears the other.

    A pair that is in several calls together is heard at the sum of what each brings.
    """
    users = {state.user: name for name, state in people.items()}
    gains: dict[tuple[str, str], float] = {}
    for listener, state in people.items():
        for cid, call in state.calls.items():
            if call.phase is CallPhase.LEFT or call.room is None or not call.hearing.open:
                continue
            for user in call.room.participants:
                speaker = users.get(user)
                if speaker is None or speaker == listener:
                    continue
                theirs = people[speaker].calls.get(cid)
                if theirs is not None and theirs.phase is not CallPhase.LEFT and theirs.microphone.open:
                    amplitude = 10.0 ** (call.hearing.gain_db / 20.0)
                    before = 10.0 ** (gains.get((listener, speaker), -400.0) / 20.0)
                    gains[listener, speaker] = 20.0 * math.log10(before + amplitude)
    return gains


class Rig:
    """People who each say a tone of their own, in rooms in memory; nothing moves unless stepped.

    async with Rig() as rig:
        you = await rig.person("you", policy="duck")
        ann = await rig.person("ann")
        await rig.join("ann", "audio_room:talk")
        ...
        await rig.step(0.5)
        print((await rig.matrix()).table())
    """

    def __init__(self) -> None:
        self.world = LoopbackWorld(paced=False)
        self.engine = EngineThread("greenroom-rig")
        self.people: dict[str, Client] = {}
        self.meters: dict[str, Meter] = {}
        self.pilots_hz: dict[str, float] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def person(
        self,
        name: str,
        *,
        policy: MultiCallPolicy | str = MultiCallPolicy.SUSPEND_EXISTING,
        several: bool = True,
        source: AudioSource | None = None,
        backend: Backend | None = None,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> Client:
        """Bring somebody in; they hear in stereo, and the last `kept_seconds` of it are kept."""
        hertz = pilot_hz(len(self.people))
        meter = Meter(channels=2, keep_seconds=kept_seconds)
        client = Client(
            backend=backend or self.world.backend(name, name.title()),
            source=source or Tone(hertz, PILOT_DBFS),
            sink=meter,
            allow_multiple_active_calls=several,
            multi_call_policy=policy,
            engine=self.engine,
            paced=False,
        )
        await self._stack.enter_async_context(client)
        self.people[name], self.meters[name], self.pilots_hz[name] = client, meter, hertz
        return client

    async def join(self, name: str, cid: str, *, microphone: bool = True) -> Call:
        """Let somebody into a room, which is made and live if it was not; as host they may speak."""
        client = self.people[name]
        existed = self.world.hubs.get(Cid(cid)) is not None and self.world.hub(Cid(cid)).room is not None
        call = await client.join(cid, create=not existed, microphone=microphone)
        room = call.state.value.room
        if not existed and room is not None and not room.live:
            await call.go_live()
        await call.sound_connected()
        return call

    async def step(self, seconds: float = FRAME_SECONDS) -> None:
        """Let `seconds` of sound pass, in blocks of 20 ms."""
        await self.engine.run(self._steps(max(1, round(seconds / FRAME_SECONDS))))

    async def settle(self, true: Callable[[], bool], seconds: float = 2.0) -> None:
        """Step until something is `true`. Raises `TimeoutError` after `seconds` of sound."""
        for _ in range(round(seconds / FRAME_SECONDS)):
            if true():
                return
            await self.step()
        if not true():
            raise TimeoutError(f"within {seconds:g} s of sound it did not happen")

    async def matrix(self, seconds: float = 0.5) -> HearMatrix:
        """Let `seconds` pass, and return who heard whom in them."""
        await self.step(seconds)
        return self.heard_lately(seconds)

    def heard_lately(self, seconds: float) -> HearMatrix:
        """Return who heard whom in the last `seconds`."""
        return measure({name: meter.recent(seconds) for name, meter in self.meters.items()}, self.pilots_hz)

    def promised(self) -> dict[tuple[str, str], float]:
        """Return what the states of all promise now."""
        return promised({name: client.state.value for name, client in self.people.items()})

    async def _steps(self, blocks: int) -> None:
        for _ in range(blocks):
            self.world.step()
            for client in self.people.values():
                client._core.sound.playout.step(FRAME)
            await asyncio.sleep(0)  # what was asked of rooms meanwhile is answered between two blocks


def _shown(level: float) -> str:
    return "·" if level <= HEARD_ABOVE_DBFS else f"{level:.0f}"
