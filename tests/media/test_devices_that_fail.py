"""Devices that cannot be opened, or go while they are: said in words, tried again, and no harm to anybody's call."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.media.virtual_sound import wait_until

pytestmark = pytest.mark.live

PORTAUDIO = '''
"""Stands for sounddevice: one device each way; how it behaves is written in the file `plan` beside this one."""
import pathlib, threading, time, types
import numpy as np

class PortAudioError(Exception): pass

PLAN = pathlib.Path(__file__).with_name("plan")
default = types.SimpleNamespace(device=(0, 1))
_initialize = _terminate = lambda: None
def get_portaudio_version(): return 1, "PortAudio of the tests"
def query_hostapis(): return [{"name": "ALSA"}]
def query_devices():
    if PLAN.read_text() == "no list":
        raise PortAudioError("Device unavailable [PaErrorCode -9985]")
    return [dict(name=name, hostapi=0, max_input_channels=ins, max_output_channels=outs)
            for name, ins, outs in (("Yeti", 1, 0), ("Boom", 0, 2))]

STREAMS = []

class Stream:
    def __init__(self, callback, device, channels, samplerate, blocksize, **_):
        if PLAN.read_text() == "no rate":
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        self.callback, self.frames, self.channels, self.open = callback, blocksize, channels, True
        STREAMS.append(self)

    def start(self):
        if PLAN.read_text() != "good":
            raise PortAudioError("Unanticipated host error [PaErrorCode -9999]")
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while self.open:
            self.callback(np.zeros((self.frames, self.channels), np.float32), self.frames, None, 0)
            time.sleep(0.01)

    def abort(self, ignore_errors): self.open = False
    def close(self, ignore_errors): STREAMS.remove(self)

InputStream = OutputStream = Stream
'''
PROGRAM = """
import sys
from greenroom.media.audio_session import AudioSession
import sounddevice
with AudioSession(input="Yeti", output="Boom") as session:
    lines = session.microphone(), session.speaker()
    def tell(state):
        for line in (state.microphone, state.speaker):
            print(line.phase, line.reason, len(sounddevice.STREAMS), sep="|", flush=True)
    with session.state.subscribe(tell):
        sys.stdin.read()
"""


def test_a_device_that_will_not_open_is_said_in_words_and_taken_once_it_will(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text(PORTAUDIO)
    plan = tmp_path / "plan"
    plan.write_text("no rate")
    environment = {**os.environ, "PULSE_SERVER": f"unix:{tmp_path}/nobody"}
    environment["PYTHONPATH"] = f"{tmp_path}:{environment.get('PYTHONPATH', '')}"
    told: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert session.stderr is not None
        lines = session.stdout
        reader = threading.Thread(target=lambda: told.extend(iter(lines.readline, "")), daemon=True)
        reader.start()

        def says(words: str) -> bool:
            return any(words in line for line in told)

        try:
            wait_until(lambda: says("lost|'Yeti' cannot be opened (Invalid sample rate);"), 15.0, "no rate")
            plan.write_text("gone while opening")
            wait_until(lambda: says("lost|'Yeti' cannot be opened (Unanticipated host error);"), 10.0, "gone")
            assert not any(line.endswith("|2\n") for line in told), "what did not start is closed"
            told.clear()
            plan.write_text("no list")
            wait_until(lambda: bool(told), 10.0, "it is tried again")
            plan.write_text("good")
            wait_until(lambda: says("running||2"), 15.0, "both devices run")
        finally:
            session.stdin.close()
            session.wait(10.0)
            reader.join(5.0)
            complaints = session.stderr.read()
    assert session.returncode == 0
    assert complaints == ""
