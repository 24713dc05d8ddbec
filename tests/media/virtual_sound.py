"""A sound system of the tests' own: PulseAudio on a private socket, with microphones and loudspeakers that come and go."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from greenroom.media.blocks import RATE_HZ, Block

MICROPHONE, LOUDSPEAKER = "Test_Microphone", "Test_Loudspeaker"
_RECORDED = ("--rate=48000", "--channels=1", "--format=float32le", "--latency-msec=20")
_START_SECONDS = 10.0


def require_sound() -> None:
    """Skip where no virtual sound can be had, or fail where GREENROOM_REQUIRE_SOUND=1 says that it must."""
    missing = [name for name in ("pulseaudio", "pactl", "parec") if shutil.which(name) is None]
    try:
        import sounddevice  # noqa: F401
    except OSError:
        missing.append("PortAudio")
    if missing and os.environ.get("GREENROOM_REQUIRE_SOUND") == "1":
        pytest.fail(f"sound is required, and missing: {', '.join(missing)}")
    if missing:
        pytest.skip(
            f"apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 ({', '.join(missing)})"
        )


class VirtualSound:
    """`environment` is what a child process needs to live in this sound system."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="greenroom-sound-"))
        self._socket = self._folder / "pulse.sock"
        self.environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_SERVER": f"unix:{self._socket}",
            "HOME": str(self._folder),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server with everything plugged in, or again after `kill`."""
        script = self._folder / "start.pa"
        lines = (
            ".fail",
            f"load-module module-native-protocol-unix socket={self._socket} auth-anonymous=1",
            "load-module " + " ".join(_sink("other", "Other_Loudspeaker")),
            "load-module " + " ".join(_sink("spoken", "Spoken")),
            "set-default-sink other",
            "",
        )
        script.write_text("\n".join(lines))
        options = "-n --system=false --daemonize=no --use-pid-file=no --exit-idle-time=-1 --disallow-exit"
        options += f" --realtime=no --high-priority=no --log-target=file:{self._folder}/pulse.log -F {script}"
        self._process = subprocess.Popen(
            ["pulseaudio", *options.split()],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self._answers(), _START_SECONDS, "the sound server answers")
        self.plug_microphone()
        self.plug_loudspeaker()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def plug_microphone(self) -> None:
        properties = f"source_properties=device.description={MICROPHONE}"
        self.pactl(
            "load-module", "module-remap-source", "source_name=mic", "master=spoken.monitor", properties
        )

    def plug_loudspeaker(self) -> None:
        self.pactl("load-module", *_sink("spk", LOUDSPEAKER))

    def unplug(self, name: str) -> None:
        """Take away the device called `name` by the sound server: mic, spk."""
        modules = self.pactl("list", "short", "modules").splitlines()
        number = next(
            line.split("\t")[0]
            for line in modules
            if f"_name={name} " in f"{line} " and "module-sine" not in line
        )
        self.pactl("unload-module", number)

    def speak(self, frequency_hz: int) -> str:
        """Play a tone at what the microphone hears; return what `hush` takes."""
        return self.pactl("load-module", "module-sine", "sink=spoken", f"frequency={frequency_hz}").strip()

    def hush(self, spoken: str) -> None:
        self.pactl("unload-module", spoken)

    def pactl(self, *words: str) -> str:
        return subprocess.run(
            ["pactl", *words], env=self.environment, capture_output=True, text=True, timeout=5.0, check=True
        ).stdout

    def heard(self, sink: str = "spk", seconds: float = 0.5) -> Block:
        """Return what the loudspeaker `sink` plays from now on, shape (frames, 1)."""
        wanted = round(seconds * RATE_HZ) * 4
        recorder = subprocess.Popen(
            ["parec", "-d", f"{sink}.monitor", *_RECORDED],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert recorder.stdout is not None
        try:
            samples = recorder.stdout.read(wanted)
        finally:
            recorder.terminate()
            recorder.wait()
            recorder.stdout.close()
        return np.frombuffer(samples, np.float32)[:, np.newaxis]

    def _answers(self) -> bool:
        asked = subprocess.run(
            ["pactl", "info"], env=self.environment, capture_output=True, timeout=5.0, check=False
        )
        return asked.returncode == 0


def _sink(name: str, title: str) -> tuple[str, ...]:
    # Without norewinds a monitor's first sound takes up to two seconds.
    options = f"sink_name={name} rate=48000 channels=2 norewinds=1 sink_properties=device.description={title}"
    return ("module-null-sink", *options.split())


def wait_until(true: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    """Return once `true` is; fails with `what` after the timeout."""
    latest = time.monotonic() + timeout_seconds
    while not true():
        if time.monotonic() > latest:
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}")
        time.sleep(0.05)
