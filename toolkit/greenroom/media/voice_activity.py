"""Whether somebody speaks: Silero's network where it is installed, else WebRTC's detector, else the level alone.

Measured on the demo's voices with 1.5 s of pause between sentences, with the hold: WebRTC's hits 99 % of speech, in quiet
and with noise 15 dB below, and takes 0.6 % of the pauses for voice; it costs 10 µs of CPU for 10 ms of sound. Levels alone
do as well in quiet, and are of no use in noise above −45 dBFS. Silero needs `pip install onnxruntime` and `pip install
--no-deps silero-vad` (its own dependencies are 5 GB); it costs 60 µs, and is not misled by keys and music.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from greenroom.media.blocks import RATE_HZ, Block, with_channels
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs
from greenroom.policies.speaking import VoiceTrack, next_voice
from greenroom.state.audio import Detector

_STEP = 480
_AGGRESSIVENESS = 3  # of 0 to 3: fewest false alarms
_NETWORK_HZ, _NETWORK_CHUNK, _NETWORK_CONTEXT = 16_000, 512, 64
_NETWORK_VOICED = 0.5

log = logging.getLogger(__name__)


class VoiceDetector(Protocol):
    """Says of each block whether there is voice in it."""

    name: Detector

    def voiced(self, block: Block) -> bool:
        """Take the next `block`, mono, a multiple of 10 ms; return whether somebody speaks in it."""


def new_detector() -> VoiceDetector:
    """Return the best detector there is on this machine."""
    for make in (SileroDetector, WebrtcDetector):
        try:
            return make()
        except Exception:  # not installed, or installed and broken: the next one will do
            log.debug("%s is not there", make.__name__)
    return EnergyDetector()


def detector_here() -> Detector:
    """Return which detector `new_detector` would take."""
    return new_detector().name


class VoiceActivity:
    """Follows one voice: on after 60 ms of speech, off after 400 ms without any."""

    def __init__(self, detector: VoiceDetector | None = None) -> None:
        self._detector = detector or new_detector()
        self._track = VoiceTrack()

    def update(self, block: Block) -> bool:
        """Take the next block, a multiple of 10 ms with any channels; return whether somebody speaks."""
        voiced = self._detector.voiced(with_channels(block, 1))
        self._track = next_voice(self._track, voiced, len(block) / RATE_HZ)
        return self._track.speaking

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks now."""
        return self._track.speaking

    @property
    def silent_seconds(self) -> float:
        """For how long nothing at all has been taken for voice."""
        return self._track.silent_seconds


class WebrtcDetector:
    """WebRTC's Gaussian mixtures, 10 ms at a time."""

    name: Detector = "webrtc"

    def __init__(self) -> None:
        self._detector: Any = importlib.import_module("webrtcvad").Vad(_AGGRESSIVENESS)

    def voiced(self, block: Block) -> bool:
        samples = (np.clip(block[:, 0], -1.0, 1.0) * np.float32(32767.0)).astype(np.int16)
        voiced = False
        for at in range(0, len(samples), _STEP):  # each is to be heard, whatever the one before said
            voiced |= bool(self._detector.is_speech(samples[at : at + _STEP].tobytes(), RATE_HZ))
        return voiced


class SileroDetector:
    """Silero's network on ONNX, 32 ms at a time; between, what it said last holds."""

    name: Detector = "silero"

    def __init__(self) -> None:
        """Raises where onnxruntime or the network is not installed."""
        self._network = _silero()
        self._narrow = soxr.ResampleStream(RATE_HZ, _NETWORK_HZ, 1, dtype="float32", quality="LQ")
        self._waiting: NDArray[np.float32] = np.zeros(0, np.float32)
        self._context: NDArray[np.float32] = np.zeros(_NETWORK_CONTEXT, np.float32)
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), np.float32)
        self._voiced = False

    def voiced(self, block: Block) -> bool:
        self._waiting = np.concatenate([self._waiting, self._narrow.resample_chunk(block[:, 0])])
        while len(self._waiting) >= _NETWORK_CHUNK:
            chunk, self._waiting = np.split(self._waiting, [_NETWORK_CHUNK])
            probability, self._state = self._network.run(
                None,
                {
                    "input": np.concatenate([self._context, chunk])[np.newaxis],
                    "state": self._state,
                    "sr": np.array(_NETWORK_HZ, np.int64),
                },
            )
            self._context = chunk[-_NETWORK_CONTEXT:]
            self._voiced = float(probability[0, 0]) > _NETWORK_VOICED
        return self._voiced


class EnergyDetector:
    """Tells voice from a steady background by its level alone."""

    name: Detector = "energy"

    def __init__(self) -> None:
        self._floor_dbfs = -70.0

    def voiced(self, block: Block) -> bool:
        level = level_dbfs(block) if block.size else SILENCE_DBFS
        rise = 1.5 * len(block) / RATE_HZ  # dB: a fan is background after half a minute
        self._floor_dbfs = max(min(level, self._floor_dbfs + rise, -45.0), -80.0)
        return level > max(self._floor_dbfs + 9.0, -55.0)


@functools.cache
def _silero() -> Any:
    """Return the network, loaded once for all voices: what it remembers of each is given to it anew every time."""
    found = importlib.util.find_spec("silero_vad")  # found, not imported: that would import torch
    if found is None or not found.submodule_search_locations:
        raise ImportError("silero-vad is not installed")
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    network = Path(next(iter(found.submodule_search_locations))) / "data" / "silero_vad.onnx"
    return runtime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
