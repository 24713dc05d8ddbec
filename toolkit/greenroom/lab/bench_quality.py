"""How speech survives loss: PESQ and STOI of what listeners hear, through two engines and the server."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import msgspec
import numpy as np
import soxr

from greenroom.errors import MediaFailed, SetUpIncomplete
from greenroom.lab.bench_room import Ear, listening
from greenroom.lab.weather import Weather
from greenroom.media.blocks import RATE_HZ, Block, silence
from greenroom.media.voices import sound_of, voices
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.state.statistics import CallStatistics

SEEDS = 3
WARM_UP_SECONDS = 5.0
MEASURED_SECONDS = 9.0
AFTER_SECONDS = 1.0
HANDSHAKE_DATAGRAMS = 30
SCORE_RATE_HZ = 16_000
_PAUSE_SECONDS = 0.3


class QualityReport(msgspec.Struct, frozen=True):
    """Medians over the listeners. `pesq` is wide-band MOS-LQO (1.0 to 4.64), `stoi` 0.0 to 1.0.

    `concealed` is the share of played frames that were made up; `kbps` what was sent to one listener, headers of
    RTP and encryption included.
    """

    pesq: float
    stoi: float
    concealed: float
    kbps: float
    loss: float
    burst: float
    pesq_of_each: tuple[float, ...]


class _Recorder:
    """Keeps everything that is heard, from when it is made."""

    channels = 1

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def write(self, block: Block) -> None:
        self.blocks.append(block.copy())

    def close(self) -> None: ...


class _Talk:
    """Says `sound` once, from when it is begun; silence before and after."""

    channels = 1

    def __init__(self, sound: Block) -> None:
        self._sound = sound
        self._at: int | None = None
        self.done = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Say it from the next block on."""
        self._at = 0

    def read(self, frames: int) -> Block:
        if self._at is None:
            return silence(frames)
        piece = self._sound[self._at : self._at + frames]
        self._at += len(piece)
        if len(piece) == frames:
            return piece
        self._loop.call_soon_threadsafe(self.done.set)
        return np.concatenate([piece, silence(frames - len(piece))])

    def close(self) -> None: ...


def run(loss: float, burst: float = 1.0, audio: AudioConfiguration | None = None) -> QualityReport:
    """Return how speech sounds to those who lose `loss` (0.0 to 1.0) of their packets, in runs of `burst` on average.

    Takes about 20 s. Raises `SetUpIncomplete` without the packages that score.
    """
    _scorers()
    return asyncio.run(_run(Weather(loss=loss, burst=burst, after=HANDSHAKE_DATAGRAMS), audio))


def speech(voice: int, seconds: float) -> Block:
    """Return `seconds` of demo voice number `voice`, its sentences with short pauses, again from the start if need be."""
    pieces: list[Block] = []
    frames = 0
    sentences = voices()[voice].sentences
    while frames < seconds * RATE_HZ:
        for sentence in sentences:
            pieces += [sound_of(sentence), silence(round(_PAUSE_SECONDS * RATE_HZ))]
        frames = sum(map(len, pieces))
    return np.concatenate(pieces)[: round(seconds * RATE_HZ)]


def score(reference: Block, heard: Block) -> tuple[float, float]:
    """Return (PESQ, STOI) of `heard`, which has `reference` somewhere in it; both shape (frames, 1) at 48 kHz."""
    pesq, stoi = _scorers()
    wanted = soxr.resample(reference[:, 0], RATE_HZ, SCORE_RATE_HZ)
    arrived = soxr.resample(heard[:, 0], RATE_HZ, SCORE_RATE_HZ)
    arrived = arrived[_delay(wanted, arrived) :][: len(wanted)]
    if len(arrived) < len(wanted):
        arrived = np.pad(arrived, (0, len(wanted) - len(arrived)))
    if not np.any(arrived):
        raise MediaFailed("nothing was heard of the speech; is the loss total?")
    return float(pesq(SCORE_RATE_HZ, wanted, arrived, "wb")), float(stoi(wanted, arrived, SCORE_RATE_HZ))


async def _run(weather: Weather, audio: AudioConfiguration | None) -> QualityReport:
    reference = speech(0, MEASURED_SECONDS)
    talk = _Talk(np.concatenate([speech(1, WARM_UP_SECONDS), reference]))
    recorders = [_Recorder() for _ in range(SEEDS)]
    async with listening(talk, recorders, down=weather, audio=audio) as (speaking, ears):
        await speaking.set_microphone(True)
        talk.begin()
        await asyncio.sleep(WARM_UP_SECONDS - 0.2)
        begun = [len(recorder.blocks) for recorder in recorders]
        before = [_counted(ear) for ear in ears]
        sent = [0] * SEEDS
        for number, ear in enumerate(ears):
            if ear.network.relay is not None:
                ear.network.relay.taps_down.append(_count_into(sent, number))
        await asyncio.wait_for(talk.done.wait(), MEASURED_SECONDS + 10.0)
        sent_bytes = tuple(sent)
        await asyncio.sleep(AFTER_SECONDS)
        after = [_counted(ear) for ear in ears]
        heard = [
            np.concatenate(recorder.blocks[start:])
            for recorder, start in zip(recorders, begun, strict=True)
        ]  # fmt: skip
    scores = [await asyncio.to_thread(score, reference, one) for one in heard]
    concealed = [
        (late[0] - early[0]) / max(1, late[1] - early[1])
        for early, late in zip(before, after, strict=True)
    ]  # fmt: skip
    kbps = [count * 8 / 1000 / (MEASURED_SECONDS + 0.2) for count in sent_bytes]
    return QualityReport(
        pesq=round(statistics.median(pesq for pesq, _ in scores), 3),
        stoi=round(statistics.median(stoi for _, stoi in scores), 4),
        concealed=round(statistics.median(concealed), 4),
        kbps=round(statistics.median(kbps), 1),
        loss=weather.loss,
        burst=weather.burst,
        pesq_of_each=tuple(round(pesq, 3) for pesq, _ in scores),
    )


def _count_into(counts: list[int], number: int) -> Any:
    def tap(datagram: bytes) -> None:
        counts[number] += len(datagram)

    return tap


def _counted(ear: Ear) -> tuple[int, int]:
    """Return (concealed, played) frames of a listener, as of the last sample."""
    sampled = ear.call.state.value.statistics or CallStatistics(at=0.0)
    return sampled.frames_concealed, sampled.frames_played


def _delay(wanted: Any, arrived: Any) -> int:
    """Return by how many samples `arrived` lags, by the peak of the cross-correlation; 0 or more."""
    size = 1 << (len(wanted) + len(arrived)).bit_length()
    spectrum = np.fft.rfft(arrived, size) * np.conj(np.fft.rfft(wanted, size))
    correlation = np.fft.irfft(spectrum, size)[: len(arrived)]
    return int(np.argmax(np.abs(correlation)))


def _scorers() -> tuple[Any, Any]:
    try:
        from pesq import pesq  # type: ignore[import-untyped]  # has no types
        from pystoi import stoi  # type: ignore[import-untyped]  # has no types
    except ImportError:
        raise SetUpIncomplete("scoring speech needs two more packages: pip install pesq pystoi") from None
    return pesq, stoi
