"""Real microphones and loudspeakers, by PortAudio; the only module that imports sounddevice, and not before it must.

PortAudio knows the devices there were when it began, and beginning anew ends every stream of the process. So the
process's streams belong to one `AudioSession`, and lists are made by a child process: `python -m greenroom.media.devices`.
Where PulseAudio or PipeWire runs, its devices are listed by `pactl` and opened by name through ALSA's `pulse`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import msgspec

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import RATE_HZ, Block, harmless, with_channels
from greenroom.media.device_lines import DEVICE_LATENCY_SECONDS
from greenroom.media.device_watch import visible
from greenroom.media.pulse import PulseDevices, pulse_devices
from greenroom.protocol.text import safe_text
from greenroom.state.devices import Device, Direction

CALLBACK_FRAMES = 480
LIST_SECONDS = 10.0
_PULSE = "pulse"
_NAME_COLUMNS = 80


class Found(msgspec.Struct, frozen=True):
    """The devices there are, who lends them, and the line that would mend what is missing."""

    devices: tuple[Device, ...] = ()
    backend: str = ""
    problem: str = ""


def look() -> Found:
    """Return what there is at this moment, without touching the streams of this process. Takes 50 to 500 ms."""
    pulse = pulse_devices()
    begins_now = "sounddevice" not in sys.modules  # then our own list is as good as a child's
    own = own_devices() if begins_now or pulse is not None else _listed_by_child()
    if pulse is None:
        return own
    if not own.devices or not any(device.name == _PULSE for device in own.devices):
        own = _ask_child()
    return with_pulse(own, pulse) if own.devices else own


def with_pulse(own: Found, pulse: PulseDevices) -> Found:
    """Return PulseAudio's devices in place of the aliases that lead to it, then PortAudio's others, numbered anew."""
    if not any(device.name == _PULSE for device in own.devices):
        return msgspec.structs.replace(
            own, problem="PulseAudio runs, but ALSA cannot reach it; apt-get install libasound2-plugins"
        )
    others = [device for device in own.devices if device.name not in (_PULSE, "default")]
    others = [msgspec.structs.replace(one, default_input=False, default_output=False) for one in others]
    numbered = [
        msgspec.structs.replace(device, index=index) for index, device in enumerate((*pulse.devices, *others))
    ]
    return Found(tuple(numbered), pulse.server)


def own_devices() -> Found:
    """Return what PortAudio knew when it began in this process."""
    try:
        sound = _sounddevice()
    except AudioUnavailable as error:
        return Found(problem=str(error))
    version = str(sound.get_portaudio_version()[1]).partition(",")[0]
    hosts = [str(host["name"]) for host in sound.query_hostapis()]
    default_input, default_output = sound.default.device
    devices = tuple(
        Device(
            key=f"{hosts[found['hostapi']]}:{found['name']}",
            index=index,
            name=safe_text(str(found["name"]), _NAME_COLUMNS) or f"device {index}",
            host=hosts[found["hostapi"]],
            inputs=int(found["max_input_channels"]),
            outputs=int(found["max_output_channels"]),
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, found in enumerate(sound.query_devices())
    )
    problem = "" if devices else "no sound device was found; connect one, or join from the browser page"
    return Found(devices, version, problem)


def knows(device: Device) -> bool:
    """Whether this process's PortAudio can open `device`; if not, `begin_anew` may help."""
    return _portaudio_index(device) is not None


def begin_anew() -> None:
    """Let PortAudio look again. Every stream of this process must be closed before. Raises `AudioUnavailable`."""
    sound = _sounddevice()
    try:
        sound._terminate()
        sound._initialize()
    except sound.PortAudioError as error:
        raise AudioUnavailable(f"the sound system did not start again ({_words(error)})") from None


class Stream:
    """One open device at 48 kHz, called every 10 ms. `last_sound_at` is when, in monotonic seconds; None before."""

    def __init__(
        self,
        device: Device,
        direction: Direction,
        on_block: Callable[[Block], None] | Callable[[int], Block],
        on_finished: Callable[[], None],
    ) -> None:
        """Open and start. Raises `AudioUnavailable`, naming the device and what to do."""
        sound = _sounddevice()
        self.last_sound_at: float | None = None
        self.callbacks = 0
        self.longest_callback_seconds = 0.0
        self.underflows = 0
        self._closing = False
        self._on_finished = on_finished
        self._stream: Any = None
        channels = 1 if direction is Direction.INPUT else min(2, device.outputs)
        index = _portaudio_index(device)
        if index is None:
            raise AudioUnavailable(f"'{device.name}' is not there; greenroom devices lists what is")
        options = {
            "device": index,
            "channels": channels,
            "samplerate": RATE_HZ,
            "dtype": "float32",
            "blocksize": CALLBACK_FRAMES,
            "latency": DEVICE_LATENCY_SECONDS,
            "finished_callback": self._finished,
        }
        try:
            with _pulse_target(device, direction):
                if direction is Direction.INPUT:
                    heard = cast(Callable[[Block], None], on_block)
                    self._stream = sound.InputStream(callback=self._capture(heard), **options)
                else:
                    wanted = cast(Callable[[int], Block], on_block)
                    self._stream = sound.OutputStream(callback=self._play(wanted, channels), **options)
                self._stream.start()
        except (sound.PortAudioError, ValueError, OSError) as error:
            self.close()
            raise AudioUnavailable(
                f"'{device.name}' cannot be opened ({_words(error)}); close what uses it, or choose another device"
            ) from None

    def close(self) -> None:
        """Stop at once; twice is quiet."""
        if self._closing:
            return
        self._closing = True
        if self._stream is None:
            return
        with contextlib.suppress(_sounddevice().PortAudioError):
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def _capture(self, heard: Callable[[Block], None]) -> Callable[..., None]:
        def callback(captured: Any, _frames: int, _times: Any, status: Any) -> None:
            began = time.monotonic()
            heard(harmless(captured).copy())  # the driver writes here again
            self._called(began, status)

        return callback

    def _play(self, wanted: Callable[[int], Block], channels: int) -> Callable[..., None]:
        def callback(out: Any, frames: int, _times: Any, status: Any) -> None:
            began = time.monotonic()
            out[:] = with_channels(wanted(frames), channels)
            self._called(began, status)

        return callback

    def _called(self, began: float, status: Any) -> None:
        self.callbacks += 1
        self.underflows += bool(status)
        self.last_sound_at = began
        self.longest_callback_seconds = max(self.longest_callback_seconds, time.monotonic() - began)

    def _finished(self) -> None:
        if not self._closing:
            self._on_finished()


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError):
        raise AudioUnavailable("PortAudio is not installed; apt-get install libportaudio2") from None
    return sounddevice


def _portaudio_index(device: Device) -> int | None:
    sound = _sounddevice()
    pulse = device.key.startswith("pulse:")
    with contextlib.suppress(sound.PortAudioError):  # what is listed may go meanwhile
        hosts = [str(host["name"]) for host in sound.query_hostapis()]
        for index, found in enumerate(sound.query_devices()):
            if (
                found["name"] == _PULSE
                if pulse
                else f"{hosts[found['hostapi']]}:{found['name']}" == device.key
            ):
                return index
    return None


_listed: tuple[object, Found] | None = None


def _listed_by_child() -> Found:
    """Return the child's list, or the last one that was not empty where Linux shows no change since."""
    global _listed
    seen = visible()
    if _listed is None or seen is None or _listed[0] != seen or not _listed[1].devices:
        _listed = seen, _ask_child()
    return _listed[1]


def _ask_child() -> Found:
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "greenroom.media.devices"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIST_SECONDS,
            check=True,
        ).stdout
        return msgspec.json.decode(answer, type=Found)
    except subprocess.TimeoutExpired:
        return Found(problem="the sound system does not answer; restart it")
    except (OSError, subprocess.CalledProcessError, msgspec.MsgspecError):
        return Found(problem="the sound devices cannot be listed; greenroom doctor says what is missing")


@contextlib.contextmanager
def _pulse_target(device: Device, direction: Direction) -> Iterator[None]:
    """Let libpulse, which reads its environment for each new stream, connect to `device`."""
    variable = "PULSE_SOURCE" if direction is Direction.INPUT else "PULSE_SINK"
    before = os.environ.get(variable)
    if device.key.startswith("pulse:") and not device.is_default(direction):
        os.environ[variable] = device.key.removeprefix("pulse:")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before


def _words(error: Exception) -> str:
    words: Sequence[object] = error.args
    return str(words[0]).partition(" [")[0] if words else type(error).__name__


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(own_devices()))
