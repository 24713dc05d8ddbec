"""Real devices of a private sound system, real engines in processes of their own, and the real server between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from greenroom.engine.client import Client
from greenroom.hosting import ServerProcess, start_server
from greenroom.media.blocks import RATE_HZ, Block
from greenroom.media.dsp import SILENCE_DBFS, level_dbfs, tone_dbfs
from greenroom.media.sinks import Meter
from tests.cli.program import COMMAND, Ran
from tests.media.device_person import Orders, Seen
from tests.media.room import Room, power_dbfs, speech
from tests.media.virtual_sound import (
    LOUDSPEAKER,
    MICROPHONE,
    VirtualSound,
    require_sound,
    wait_until,
)

pytestmark = pytest.mark.live
TONE_HZ = 500
PROJECT = Path(__file__).parents[2]


class Person:
    """An engine with devices, in a process of its own."""

    def __init__(self, sound: VirtualSound) -> None:
        self.seen = Seen()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.media.device_person"],
            cwd=PROJECT,
            env=sound.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, orders: Orders) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(orders).decode() + "\n")
        self._process.stdin.flush()

    def until(self, true: Callable[[Seen], bool], timeout_seconds: float, what: str) -> Seen:
        found: list[Seen] = []

        def look() -> bool:
            now = self.seen
            if true(now):
                found.append(now)
            return bool(found)

        try:
            wait_until(look, timeout_seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; last seen: {self.seen}") from None
        return found[0]

    def end(self) -> Seen:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(10.0) == 0
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(5.0)
        with self._said as said:
            said.seek(0)
            assert said.read() == "", "neither ALSA nor PortAudio says anything on standard error"
        return self.seen

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.seen = msgspec.json.decode(line, type=Seen)


class Scene:
    """Ann speaks into the virtual microphone, Bob listens at the virtual loudspeaker, the server lies between."""

    def __init__(self, sound: VirtualSound, server: ServerProcess) -> None:
        self.sound = sound
        self.server = server
        cid = self.cid = f"audio_room:{secrets.token_hex(6)}"
        self.ann, self.bob = Person(sound), Person(sound)
        self.ann.begin(Orders(server.url, server.mint("ann", "Ann"), cid, MICROPHONE, "none", True))
        self.ann.until(lambda ann: ann.open, 20.0, "Ann's microphone is open")
        self.bob.begin(Orders(server.url, server.mint("bob", "Bob"), cid, "none", LOUDSPEAKER, False))
        self.bob.until(
            lambda bob: bob.speaker == "running" and bob.media == "connected", 20.0, "Bob's loudspeaker runs"
        )
        sound.speak(TONE_HZ)

    def assert_heard(self, timeout_seconds: float = 6.0) -> None:
        """The tone of the microphone comes out of the loudspeaker at the level it went in (−6 dB of module-sine's own)."""
        heard: list[float] = []

        def tone() -> bool:
            block = self.sound.heard()
            heard.append(tone_dbfs(block, TONE_HZ))
            return heard[-1] > -20.0 and tone_dbfs(block, 733) < heard[-1] - 25.0

        try:
            wait_until(tone, timeout_seconds, "Ann's tone is heard at Bob's loudspeaker")
        except AssertionError as error:
            raise AssertionError(f"{error}: {heard} dBFS; {self.ann.seen}; {self.bob.seen}") from None


def command(sound: VirtualSound, folder: Path, *arguments: str, **settings: str) -> Ran:
    """Run the command line inside `sound`, with its settings in `folder`."""
    environment = {
        **sound.environment,
        "GREENROOM_CONFIG": str(folder / "config.toml"),
        "GREENROOM_DATA": str(folder / "data"),
        "GREENROOM_NAME": "Cat",
        **settings,
    }
    done = subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=40.0, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def sound() -> Iterator[VirtualSound]:
    require_sound()
    sound = VirtualSound()
    try:
        sound.start()
        yield sound
    finally:
        sound.close()


@pytest.fixture(scope="module")
def scene(sound: VirtualSound, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with start_server(data_dir=str(tmp_path_factory.mktemp("server"))) as server:
        scene = Scene(sound, server)
        try:
            yield scene
        finally:
            scene.ann.end()
            scene.bob.end()


def test_what_is_said_into_a_microphone_is_heard_at_another_persons_loudspeaker(scene: Scene) -> None:
    scene.assert_heard()
    assert level_dbfs(scene.sound.heard("other", 0.2)) == SILENCE_DBFS


def test_devices_are_listed_tried_and_remembered_from_the_command_line(scene: Scene, tmp_path: Path) -> None:
    listed = command(scene.sound, tmp_path, "devices", "--json").out
    numbers = {device["name"]: device["index"] for device in json.loads(listed)["available"]}
    assert {MICROPHONE, LOUDSPEAKER} <= numbers.keys()
    tried = command(
        scene.sound, tmp_path, "devices", "--check", "--json",
        "--input", str(numbers[MICROPHONE]), "--output", "test_loud",
    )  # fmt: skip
    assert tried.code == 0, tried.err
    assert json.loads(tried.out)["peak_dbfs"] > -30.0
    assert json.loads(tried.out)["played"] is True
    remembered = json.loads((tmp_path / "devices.json").read_text())
    assert remembered == {"input": MICROPHONE, "output": "test_loud"}
    shown = command(scene.sound, tmp_path, "devices").out.splitlines()
    assert {line.split()[1] for line in shown if "chosen" in line} == {MICROPHONE, LOUDSPEAKER}
    refused = command(scene.sound, tmp_path, "join", "nowhere", "--input", "banjo")
    assert (refused.code, len(refused.err.splitlines())) == (1, 1)
    assert "banjo" in refused.err
    assert json.loads((tmp_path / "devices.json").read_text()) == remembered


def test_somebody_who_joins_from_the_command_line_speaks_and_hears_through_devices(
    scene: Scene, tmp_path: Path
) -> None:
    token = scene.server.mint("cat", "Cat")
    settings = {"GREENROOM_SERVER": scene.server.url, "GREENROOM_TOKEN": token}
    joined = command(
        scene.sound,
        tmp_path,
        "join",
        scene.cid,
        "--output",
        LOUDSPEAKER,
        "--seconds",
        "4",
        "--json",
        **settings,
    )
    assert joined.code == 0, joined.err
    assert json.loads(joined.out)["heard_seconds"]["ann"] > 1.0


def test_a_microphone_that_is_unplugged_is_closed_with_the_reason_and_opens_when_it_is_back(
    scene: Scene,
) -> None:
    scene.sound.unplug("mic")
    gone = scene.ann.until(lambda ann: not ann.open, 3.0, "the microphone is closed")
    assert gone.microphone == "lost"
    assert MICROPHONE in gone.closed_because
    assert "unplugged" in gone.closed_because
    assert gone.media == "connected"
    scene.sound.plug_microphone()
    scene.ann.until(lambda ann: ann.open and ann.microphone == "running", 4.0, "the microphone is open again")
    scene.assert_heard()


def test_a_loudspeaker_that_is_unplugged_is_not_replaced_by_another_and_plays_when_it_is_back(
    scene: Scene,
) -> None:
    scene.sound.unplug("spk")
    gone = scene.bob.until(lambda bob: bob.speaker == "lost", 3.0, "the loudspeaker is lost")
    assert LOUDSPEAKER in gone.speaker_reason
    assert gone.media == "connected"
    assert level_dbfs(scene.sound.heard("other", 0.3)) == SILENCE_DBFS
    scene.sound.plug_loudspeaker()
    scene.bob.until(lambda bob: bob.speaker == "running", 4.0, "the loudspeaker is back")
    scene.assert_heard()


def test_a_device_that_stands_still_is_noticed_within_half_a_second(scene: Scene) -> None:
    scene.sound.pactl("suspend-source", "mic", "1")
    scene.sound.pactl("suspend-sink", "spoken", "1")
    began = time.monotonic()
    still = scene.ann.until(lambda ann: ann.microphone == "stalled", 3.0, "the stall is noticed")
    assert time.monotonic() - began < 1.5
    assert "stands still" in still.microphone_reason
    scene.sound.pactl("suspend-sink", "spoken", "0")
    scene.sound.pactl("suspend-source", "mic", "0")
    scene.ann.until(lambda ann: ann.open and ann.microphone == "running", 4.0, "sound passes again")
    scene.assert_heard()


def test_calls_outlive_the_sound_server(scene: Scene) -> None:
    scene.sound.kill()
    lost = scene.ann.until(lambda ann: ann.microphone == "lost", 3.0, "the microphone is lost")
    assert not lost.open
    assert lost.media == "connected"
    scene.bob.until(lambda bob: bob.speaker == "lost", 3.0, "the loudspeaker is lost")
    scene.sound.start()
    scene.sound.speak(TONE_HZ)
    scene.ann.until(lambda ann: ann.open and ann.microphone == "running", 10.0, "the microphone is back")
    scene.bob.until(lambda bob: bob.speaker == "running", 10.0, "the loudspeaker is back")
    scene.assert_heard()


@pytest.mark.quiet
def test_callbacks_are_short_and_the_hand_over_keeps_up(scene: Scene) -> None:
    scene.assert_heard()
    heard = scene.sound.heard("spk", 1.0)
    assert len(heard) == RATE_HZ
    quietest = min(level_dbfs(heard[at : at + 480]) for at in range(0, RATE_HZ, 480))
    assert quietest > level_dbfs(heard) - 6.0, "there is a hole in what is played"


def test_devices_that_come_after_the_session_began_are_taken() -> None:
    require_sound()
    program = (
        "from greenroom.media.audio_session import AudioSession\n"
        "import sys\n"
        "with AudioSession() as session:\n"
        "    lines = session.microphone(), session.speaker()\n"
        "    session.wait_ready()\n"
        "    tell = lambda state: print(state.microphone.phase, state.speaker.phase, flush=True)\n"
        "    with session.state.subscribe(tell):\n"
        "        sys.stdin.read()\n"
    )
    late = VirtualSound()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=late.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as session:
        told: list[str] = []
        assert session.stdin is not None
        assert session.stdout is not None
        lines = session.stdout
        reader = threading.Thread(target=lambda: told.extend(iter(lines.readline, "")), daemon=True)
        reader.start()
        try:
            wait_until(lambda: "absent absent\n" in told, 10.0, "there is no device")
            late.start()
            wait_until(lambda: "running running\n" in told, 10.0, "both devices run")
        finally:
            session.stdin.close()
            session.wait(10.0)
            reader.join(5.0)
            late.close()


@pytest.fixture
def quiet() -> Iterator[VirtualSound]:
    """A sound system in which nobody else plays."""
    require_sound()
    quiet = VirtualSound()
    try:
        quiet.start()
        yield quiet
    finally:
        quiet.close()


class Clip:
    """Says what is in a block, once."""

    channels = 1

    def __init__(self, sound: Block) -> None:
        self._room = Room(sound)

    def read(self, frames: int) -> Block:
        return self._room.read(frames)

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.quiet
async def test_who_talks_to_somebody_with_loudspeakers_does_not_hear_themselves(
    quiet: VirtualSound, tmp_path: Path
) -> None:
    quiet.pactl("load-module", "module-loopback", "source=spk.monitor", "sink=spoken", "latency_msec=30")
    back, cid = Meter(keep_seconds=1.5), f"audio_room:{secrets.token_hex(6)}"
    with start_server(data_dir=str(tmp_path)) as server:
        ann = Person(quiet)
        ann.begin(
            Orders(
                server.url, server.mint("ann", "Ann"), cid, MICROPHONE, LOUDSPEAKER, True, cancels_echo=True
            )
        )
        try:
            ann.until(lambda ann: ann.open and ann.speaker == "running", 20.0, "Ann is heard and hears")
            token = server.mint("bob", "Bob", "admin")
            async with Client(server.url, token=token, source=Clip(speech(8.0, -20.0)), sink=back) as bob:
                call = await bob.join(cid, microphone=True)
                await call.sound_connected()
                await call.state.until(lambda state: state.microphone.open, 5.0)
                await asyncio.sleep(2.5)  # a canceller learns the room while it listens
                echo = await asyncio.to_thread(quiet.heard, "spoken", 1.5)
        finally:
            ann.end()
    assert power_dbfs(echo) > -30.0, "Ann's microphone hears her loudspeaker"
    assert power_dbfs(back.recent()) < power_dbfs(echo) - 30.0


@pytest.mark.quiet
def test_another_loudspeaker_is_taken_while_sound_plays_without_a_click(quiet: VirtualSound) -> None:
    program = (
        "import sys, threading, time\n"
        "import numpy as np\n"
        "from greenroom import AudioSession, Tone\n"
        f"with AudioSession(input='none', output='{LOUDSPEAKER}') as session:\n"
        "    speaker, tone = session.speaker(), Tone(337.0, channels=2)\n"
        "    wanted = threading.Event()\n"
        "    speaker.on_wanted(wanted.set)\n"
        "    session.wait_ready()\n"
        "    threading.Thread(target=lambda: session.choose(output=sys.stdin.readline().strip()), daemon=True).start()\n"
        "    print('playing', flush=True)\n"
        "    until = time.monotonic() + 20.0\n"
        "    while time.monotonic() < until and session.state.value.speaker.device != 'Other_Loudspeaker':\n"
        "        wanted.wait(0.1); wanted.clear()\n"
        "        for _ in range((speaker.wanted_frames() or 0) // 960):\n"
        "            speaker.write(tone.read(960))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=quiet.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        try:
            assert session.stdout.readline() == "playing\n"
            threading.Timer(0.4, lambda: _write(session, "Other_Loudspeaker")).start()
            heard = quiet.heard("spk", 1.2)
        finally:
            with contextlib.suppress(BrokenPipeError):
                session.stdin.close()
            session.wait(25.0)
    steady = 0.1 * math.sqrt(2.0) * 2 * math.pi * 337.0 / RATE_HZ
    assert tone_dbfs(heard[4800:14400], 337.0) > -22.0
    assert level_dbfs(heard[-4800:]) == SILENCE_DBFS, "it plays elsewhere now"
    assert float(np.abs(np.diff(heard[480:, 0])).max()) < 1.5 * steady


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
