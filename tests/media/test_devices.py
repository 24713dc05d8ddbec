"""Devices as PulseAudio tells of them, what is remembered, and what happens where there is no sound at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from greenroom.errors import Misuse
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import FRAME, harmless
from greenroom.media.device_memory import Remembered, recall, remember
from greenroom.media.device_watch import matters, visible
from greenroom.media.devices import Found, with_pulse
from greenroom.media.pulse import PulseDevices, parse
from greenroom.state.devices import Device, DevicePhase, Direction, choose
from greenroom.views.devices import level_words, line_words
from tests.media.virtual_sound import wait_until

INFO = {
    "default_sink_name": "spk",
    "default_source_name": "mic",
    "server_name": "pulse",
    "server_version": "16.1",
}
MIC = {
    "name": "mic",
    "description": "Blue Yeti",
    "sample_specification": "s16le 1ch 48000Hz",
    "monitor_source": "",
}
MONITOR = {**MIC, "name": "spk.monitor", "description": "Monitor of HDMI", "monitor_source": "spk"}
SINK = {"name": "spk", "description": "(null)", "sample_specification": "float32le 2ch 44100Hz"}


def test_a_sound_servers_devices_are_named_as_people_know_them() -> None:
    found = parse(INFO, [MONITOR, MIC], [SINK])
    assert [(one.name, one.inputs, one.outputs, one.monitor) for one in found.devices] == [
        ("Monitor of HDMI", 1, 0, True),
        ("Blue Yeti", 1, 0, False),
        ("spk", 0, 2, False),
    ]
    assert choose(found.devices, "", Direction.INPUT).key == "pulse:mic"  # type: ignore[union-attr]  # it is there
    assert found.server == "pulse 16.1"


def test_a_name_that_a_stranger_gave_a_headset_acts_on_nothing() -> None:
    named = {**MIC, "description": "Ear\x1b[31m\u202e\nphones"}
    shown = parse(INFO, [named], []).devices[0].name
    assert shown.isprintable()
    assert "\n" not in shown
    assert parse(INFO, [{**MIC, "description": "\x07"}], []).devices[0].name == "mic"


def test_what_a_driver_invents_reaches_no_codec() -> None:
    captured = np.array([[np.nan], [np.inf], [-np.inf], [7.0], [-7.0], [0.5]], np.float32)
    assert harmless(captured)[:, 0].tolist() == [0.0, 1.0, -1.0, 1.0, -1.0, 0.5]
    assert harmless(captured).dtype == np.float32


@pytest.mark.parametrize("damage", [{"name": None}, {"sample_specification": "?"}, {}])
def test_an_answer_in_another_shape_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse(INFO, [{"description": "x", **damage}], [])


def test_a_sound_servers_devices_stand_for_the_aliases_that_lead_to_them() -> None:
    pulse = PulseDevices((Device("pulse:mic", 0, "Blue Yeti", inputs=1, default_input=True),), "pulse 16.1")
    own = Found(
        (Device("ALSA:default", 0, "default", inputs=32, default_input=True), Device("ALSA:hw", 1, "hw"))
    )
    assert with_pulse(own, pulse).problem.endswith("apt-get install libasound2-plugins")
    both = with_pulse(Found((*own.devices, Device("ALSA:pulse", 2, "pulse", inputs=32))), pulse)
    assert [(one.index, one.key) for one in both.devices] == [(0, "pulse:mic"), (1, "ALSA:hw")]


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        (b"Event 'new' on sink #2\n", True),
        (b"Event 'remove' on source #5\n", True),
        (b"Event 'change' on server #0\n", True),
        (b"Event 'change' on sink #2\n", False),
        (b"Event 'new' on sink-input #7\n", False),
        (b"Event 'remove' on source-output #7\n", False),
        (b"Event 'new' on client #9\n", False),
        (b"\xff\xfe", False),
    ],
)
def test_only_devices_that_come_and_go_are_looked_at(line: bytes, tells: bool) -> None:
    assert matters(line) is tells


def test_what_linux_shows_changes_with_the_servers_socket(tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("there is no /proc here")
    environment = {"PULSE_SERVER": f"unix:{tmp_path}/socket"}
    before = visible(environment)
    assert before == visible(environment)
    (tmp_path / "socket").touch()
    assert visible(environment) != before


def test_choices_are_remembered_and_a_damaged_memory_is_none(tmp_path: Path) -> None:
    path = tmp_path / "new" / "devices.json"
    assert recall(path) == Remembered()
    assert remember(path, Remembered("Blue Yeti", "HDMI"))
    assert recall(path) == Remembered("Blue Yeti", "HDMI")
    assert [one.name for one in path.parent.iterdir()] == ["devices.json"]
    path.write_bytes(b'{"input": 7')
    assert recall(path) == Remembered()
    assert not remember(path / "below a file", Remembered())


@pytest.mark.parametrize(
    ("peak", "says"), [(-96.0, "nothing"), (-40.0, "soft"), (-12.0, "good"), (0.0, "too loud")]
)
def test_a_level_is_told_with_what_to_do(peak: float, says: str) -> None:
    with AudioSession(input="none", output="none") as session:
        line = session.state.value.microphone
    running = msgspec.structs.replace(line, phase=DevicePhase.RUNNING, device="Blue Yeti")
    assert level_words(running, peak).startswith(says)
    assert line_words(running) == "microphone: Blue Yeti"


def test_without_a_wish_for_devices_none_is_opened() -> None:
    with AudioSession(input="none", output="none") as session:
        microphone, speaker = session.microphone(), session.speaker()
        state = session.wait_ready()
        assert (state.microphone.phase, state.speaker.phase) == (DevicePhase.OFF, DevicePhase.OFF)
        assert state.microphone.reason == "no microphone was chosen"
        assert not microphone.read(FRAME).any()
        speaker.write(np.ones((FRAME, 2), np.float32))
    session.close()
    assert not microphone.read(FRAME).any()


def test_a_process_has_one_audio_session_at_a_time() -> None:
    with AudioSession(input="none", output="none") as first:
        second = AudioSession(input="none", output="none")
        for use in (second.start, second.microphone, second.speaker):
            with pytest.raises(Misuse, match="has an audio session already"):
                use()
        first.microphone()
    with second:
        second.microphone()


def test_what_is_chosen_while_a_session_runs_is_remembered_but_no_number(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    remember(path, Remembered("Blue Yeti", "HDMI"))
    with AudioSession(input="none", output="none", memory=path) as session:
        session.choose(output="none", input="3")
        wait_until(lambda: recall(path).output == "none", 5.0, "the choice is remembered")
        assert recall(path) == Remembered("Blue Yeti", "none")


@pytest.mark.skipif(sys.platform != "linux", reason="C's stderr has that name on Linux")
def test_libraries_are_quiet_on_standard_error_while_devices_are_used_and_python_is_not() -> None:
    program = (
        "import ctypes, os, sys\n"
        "from greenroom.media.native_words import quiet_libraries\n"
        "libc = ctypes.CDLL(None)\n"
        "def native(words): libc.fprintf(ctypes.c_void_p.in_dll(libc, 'stderr'), words); libc.fflush(None)\n"
        "with quiet_libraries():\n"
        "    with quiet_libraries():\n"
        "        native(b'ALSA lib one\\n')\n"
        "    native(b'ALSA lib two\\n')\n"
        "    print('python', file=sys.stderr, flush=True)\n"
        "native(b'after\\n')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stderr.splitlines() == ["python", "after"]


@pytest.fixture
def without_portaudio(tmp_path: Path) -> dict[str, str]:
    """What the Linux wheel of sounddevice does where libportaudio2 is not installed."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    return {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "GREENROOM_CONFIG": str(tmp_path / "config.toml"),
        "PULSE_SERVER": f"unix:{tmp_path}/nobody",
    }


def test_without_portaudio_one_line_says_what_to_install(without_portaudio: dict[str, str]) -> None:
    command = [sys.executable, "-m", "greenroom", "devices"]
    for options in ([], ["--json"]):
        ran = subprocess.run(
            [*command, *options],
            env=without_portaudio,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert ran.stderr == ""
        said = json.loads(ran.stdout)["problem"] if options else ran.stdout.strip()
        assert said == "PortAudio is not installed; apt-get install libportaudio2"
    refused = subprocess.run(
        [*command, "--input", "yeti"],
        env=without_portaudio,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("greenroom: ")
    assert len(refused.stderr.splitlines()) == 1


def test_without_portaudio_a_session_gives_silence_and_says_why(without_portaudio: dict[str, str]) -> None:
    program = (
        "from greenroom.media.audio_session import AudioSession\n"
        "with AudioSession() as session:\n"
        "    microphone, speaker = session.microphone(), session.speaker()\n"
        "    state = session.wait_ready()\n"
        "    print(state.microphone.phase, state.speaker.phase, microphone.read(960).any(), speaker.wanted_frames())\n"
        "    print(state.microphone.reason)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=without_portaudio,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout.splitlines() == [
        "absent absent False None",
        "PortAudio is not installed; apt-get install libportaudio2",
    ]
