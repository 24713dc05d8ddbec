"""The audio session: one capture and one playout for the whole process, shared by all clients and their calls.

A thread of its own opens, watches and reopens the devices, because all of that blocks. The callbacks of the devices
touch rings only. Without a device the lines live on: a microphone gives silence, a speaker's playout has a timer.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from greenroom.errors import AudioUnavailable, Misuse
from greenroom.media import devices
from greenroom.media.blocks import Block, silence
from greenroom.media.device_half import Half
from greenroom.media.device_lines import DeviceMicrophone, DeviceSpeaker
from greenroom.media.device_memory import recall, remember
from greenroom.media.device_watch import DeviceWatch
from greenroom.media.dsp import Fader
from greenroom.media.native_words import quiet_libraries
from greenroom.observable import Observable
from greenroom.state.devices import (
    NO_DEVICE,
    Device,
    DevicePhase,
    DevicesState,
    Direction,
    Line,
    Unknown,
    choose,
)

log = logging.getLogger(__name__)

READY_SECONDS = 5.0
_TICK_SECONDS = 0.1
_OPENING_TICK_SECONDS = 0.02
_IDLE_TICK_SECONDS = 1.0
_SETTLE_SECONDS = 0.15
_FADE_SECONDS = 0.02
_FADED_SECONDS = 0.06

_one_at_a_time = threading.Lock()
_memory_lock = threading.Lock()
_running: AudioSession | None = None


class _Changed(msgspec.Struct, frozen=True):
    """Devices may have come or gone, or lines were taken or given back."""

    look: bool


class _Choose(msgspec.Struct, frozen=True):
    direction: Direction
    wish: str


class _Finished(msgspec.Struct, frozen=True):
    direction: Direction
    number: int


class _End:
    """The session is over."""


class AudioSession:
    """Real devices for any number of clients: `Client(…, devices=session)`.

    `input` and `output` are an index, a name or a part of one; empty means the system's default, "none" no device.
    In a `lenient` direction, a device that is not there at the start gives way to the default. What is chosen later, or
    lost and found, is told in `state`. What is chosen while it runs is remembered in `memory`, where that is a file.

    There is one at a time in a process, since PortAudio has one list of devices for all of it: `start`, and whatever needs
    it, raises `Misuse` while another one is not closed.
    """

    def __init__(
        self,
        *,
        input: str = "",
        output: str = "",
        lenient: Collection[Direction] = (),
        memory: Path | None = None,
    ) -> None:
        self.state: Observable[DevicesState] = Observable(
            DevicesState(microphone=Line(Direction.INPUT, input), speaker=Line(Direction.OUTPUT, output))
        )
        self._halves = {
            Direction.INPUT: Half(Direction.INPUT, input, self._captures),
            Direction.OUTPUT: Half(Direction.OUTPUT, output, self._plays),
        }
        self._lenient = lenient
        self._memory = memory
        self._microphones: tuple[DeviceMicrophone, ...] = ()
        self._speakers: tuple[DeviceSpeaker, ...] = ()
        self._fader = Fader()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Changed | _Choose | _Finished | _End] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._closed = False
        self._found = devices.Found()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to look for devices; they are opened once a line wants them. Twice is quiet.

        Raises `Misuse` while another session of this process is not closed.
        """
        with self._lock:
            if self._thread is None and not self._closed:
                self._be_the_one()
                self._thread = threading.Thread(target=self._run, name="audio-session", daemon=True)
                self._thread.start()

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> DevicesState:
        """Return the state once devices were looked for and what is wanted was opened, or after the timeout."""
        self.start()
        latest = time.monotonic() + timeout_seconds
        self._ready.wait(timeout_seconds)
        settled = threading.Event()

        def look(state: DevicesState) -> None:
            wanted = [line for line, lines in self._lines(state) if lines]
            if all(
                line.phase not in (DevicePhase.OFF, DevicePhase.OPENING) or line.wish == NO_DEVICE
                for line in wanted
            ):
                settled.set()

        with self.state.subscribe(look):
            settled.wait(max(0.0, latest - time.monotonic()))
        return self.state.value

    def close(self) -> None:
        """Close the devices; twice is quiet. Lines that are still read give silence."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(_End())
            thread.join(timeout=5.0)
            self._be_no_more()

    def microphone(self) -> DeviceMicrophone:
        """Return one more source fed by the microphone; close it when it is not read any more."""
        self.start()
        microphone = DeviceMicrophone(self._drop_microphone)
        with self._lock:
            self._microphones = (*self._microphones, microphone)
        self._lines_changed()
        return microphone

    def speaker(self) -> DeviceSpeaker:
        """Return one more sink that the loudspeaker plays, mixed with the others; close it when it is done."""
        self.start()
        speaker = DeviceSpeaker(self._drop_speaker)
        with self._lock:
            self._speakers = (*self._speakers, speaker)
        self._lines_changed()
        return speaker

    def choose(self, *, input: str | None = None, output: str | None = None) -> None:
        """Use another microphone or loudspeaker from now on; None leaves it. What becomes of it is told in `state`.

        A number means another device tomorrow, and is not remembered.
        """
        for direction, wish in ((Direction.INPUT, input), (Direction.OUTPUT, output)):
            if wish is not None:
                self._queue.put(_Choose(direction, wish))
        self.start()
        if self._memory is not None:
            threading.Thread(
                target=self._remember, args=(self._memory, input, output), name="audio-memory", daemon=True
            ).start()

    def measured(self) -> dict[str, float]:
        """Return what the callbacks were seen to do: counts, the longest in seconds, what waits ahead; lines lent."""
        numbers: dict[str, float] = {
            "microphone_lines": len(self._microphones),
            "speaker_lines": len(self._speakers),
        }
        for direction, half in self._halves.items():
            stream = half.stream
            if stream is not None:
                numbers[f"{direction}_callbacks"] = stream.callbacks
                numbers[f"{direction}_longest_callback_seconds"] = stream.longest_callback_seconds
                numbers[f"{direction}_flags"] = stream.underflows
        numbers["speaker_underruns"] = sum(speaker.underruns for speaker in self._speakers)
        numbers["microphone_underruns"] = sum(microphone.underruns for microphone in self._microphones)
        numbers["microphone_jumps"] = sum(microphone.jumps for microphone in self._microphones)
        return numbers

    # ---- on the devices' threads

    def _captured(self, block: Block) -> None:
        for microphone in self._microphones:
            microphone.feed(block)

    def _wanted(self, frames: int) -> Block:
        mixed: Block | None = None
        for speaker in self._speakers:
            block = speaker.take(frames)
            if block is not None:
                mixed = block if mixed is None else mixed + block
        if mixed is None:
            mixed = silence(frames, DeviceSpeaker.channels)
        faded = self._fader.apply(mixed)
        played = faded.clip(-1.0, 1.0) if len(self._speakers) > 1 else faded
        for microphone in self._microphones:
            microphone.hear_played(played)
        return played

    # ---- on the session's thread

    def _run(self) -> None:
        watch = DeviceWatch(lambda: self._queue.put(_Changed(look=True)))
        with quiet_libraries():
            self._live(watch)

    def _live(self, watch: DeviceWatch) -> None:
        try:
            self._look(first=True)
            self._follow()
            self._ready.set()
            while self._step():
                pass
        finally:
            watch.close()
            self._fade_out()
            for half in self._halves.values():
                half.rest()
            self._publish()
            self._ready.set()

    def _step(self) -> bool:
        try:
            message = self._queue.get(timeout=self._patience())
        except queue.Empty:
            message = None
        match message:
            case _End():
                return False
            case _Choose(direction, wish):
                self._chosen(self._halves[direction], wish)
            case _Finished(direction, number):
                half = self._halves[direction]
                if half.number == number and half.stream is not None:
                    half.lost(f"{half.title} went away")
            case _Changed(look):
                if look:
                    self._settle()
                    self._look()
            case None:
                pass
        self._follow()
        return True

    def _settle(self) -> None:
        """Wait a moment: a device comes with several notices, and a little before it is whole."""
        time.sleep(_SETTLE_SECONDS)
        kept = []
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._queue.get_nowait()
                if not isinstance(message, _Changed) or not message.look:
                    kept.append(message)
        for message in kept:
            self._queue.put(message)

    def _patience(self) -> float:
        now = time.monotonic()
        waits = [_IDLE_TICK_SECONDS]
        for half in self._halves.values():
            if half.stream is not None:
                opening = half.line.phase is DevicePhase.OPENING
                waits.append(_OPENING_TICK_SECONDS if opening else _TICK_SECONDS)
            if half.retry_at is not None:
                waits.append(max(0.0, half.retry_at - now))
        return min(waits)

    def _look(self, first: bool = False) -> None:
        """List the devices; one that is gone is let go of, one that came back is opened."""
        self._found = devices.look()
        for half in self._halves.values():
            if half.device is not None and half.stream is not None:
                answer = choose(self._found.devices, half.device.key, half.direction)
                if isinstance(answer, Unknown):
                    half.lost(f"{half.title} was unplugged")
                elif not half.line.wish:
                    self._follow_default(half)
            elif half.line.phase in (DevicePhase.LOST, DevicePhase.ABSENT):
                half.retry_at = time.monotonic()
            elif first and half.direction in self._lenient and half.line.wish not in ("", NO_DEVICE):
                answer = choose(self._found.devices, half.line.wish, half.direction)
                if isinstance(answer, Unknown):
                    log.info("the remembered %s device is not there; taking the default", half.direction)
                    half.line = replace(half.line, wish="")

    def _follow_default(self, half: Half) -> None:
        """Go where the system's default went."""
        answer = choose(self._found.devices, "", half.direction)
        if isinstance(answer, Device) and half.device is not None and answer.key != half.device.key:
            self._leave(half)

    def _chosen(self, half: Half, wish: str) -> None:
        self._leave(half)
        half.line = Line(half.direction, wish)

    def _leave(self, half: Half) -> None:
        """Close without a click, to be opened as wished by `_follow`."""
        if half.direction is Direction.OUTPUT:
            self._fade_out()
        half.leave()

    def _follow(self) -> None:
        """Do what the lines, the clock and the streams ask for, and say what is."""
        now = time.monotonic()
        for line, wanted in self._lines(None):
            half = self._halves[line.direction]
            if not wanted or line.wish == NO_DEVICE:
                half.rest(f"no {half.kind} was chosen" if line.wish == NO_DEVICE else "")
            elif half.stream is not None:
                half.look(now)
            elif line.phase is DevicePhase.OFF or (half.retry_at is not None and half.retry_at <= now):
                self._open(half)
        self._publish()

    def _open(self, half: Half) -> None:
        if half.line.phase is DevicePhase.LOST:
            self._found = devices.look()
        wish = half.line.wish
        answer = choose(self._found.devices, wish, half.direction)
        if isinstance(answer, Unknown):
            if half.line.phase is DevicePhase.LOST:
                half.again(half.line.reason)
            else:
                half.retry_at = None
                words = self._found.problem or answer.words
                half.line = replace(half.line, phase=DevicePhase.ABSENT, reason=words)
            return
        if wish.isdecimal():  # an index means another device tomorrow
            half.line = replace(half.line, wish=answer.name)
        try:
            if not devices.knows(answer):
                self._begin_anew()
        except AudioUnavailable as error:
            half.again(str(error))
            return
        callback: Callable[[Block], None] | Callable[[int], Block] = (
            self._captured if half.direction is Direction.INPUT else self._wanted
        )
        half.open(answer, callback, lambda number: self._queue.put(_Finished(half.direction, number)))

    def _begin_anew(self) -> None:
        self._fade_out()
        for half in self._halves.values():
            if half.stream is not None:
                half.leave()
        devices.begin_anew()

    def _captures(self, running: bool) -> None:
        for microphone in () if running else self._microphones:
            microphone.clear()

    def _plays(self, running: bool) -> None:
        for speaker in self._speakers:
            speaker.set_running(running)
        if not running:
            self._fader = Fader()

    def _fade_out(self) -> None:
        if self._halves[Direction.OUTPUT].line.phase is DevicePhase.RUNNING:
            self._fader.set(0.0, _FADE_SECONDS)
            time.sleep(_FADED_SECONDS)

    def _publish(self) -> None:
        state = DevicesState(
            available=self._found.devices,
            backend=self._found.backend,
            problem=self._found.problem,
            microphone=self._halves[Direction.INPUT].line,
            speaker=self._halves[Direction.OUTPUT].line,
        )
        if state != self.state.value:
            self.state.set(state)

    # ---- from any thread

    def _be_the_one(self) -> None:
        global _running
        with _one_at_a_time:
            if _running is not None and _running is not self:
                raise Misuse(
                    "this process has an audio session already: give that one to every client, "
                    "Client(…, devices=session), or close it first"
                )
            _running = self

    def _be_no_more(self) -> None:
        global _running
        with _one_at_a_time:
            if _running is self:
                _running = None

    def _remember(self, memory: Path, input: str | None, output: str | None) -> None:
        with _memory_lock:
            before = recall(memory)
            after = replace(
                before,
                input=before.input if input is None or input.isdecimal() else input,
                output=before.output if output is None or output.isdecimal() else output,
            )
            if after != before and not remember(memory, after):
                log.warning("the choice of devices cannot be remembered: the folder cannot be written")

    def _lines(self, state: DevicesState | None) -> tuple[tuple[Line, tuple[Any, ...]], ...]:
        microphone = self._halves[Direction.INPUT].line if state is None else state.microphone
        speaker = self._halves[Direction.OUTPUT].line if state is None else state.speaker
        return (microphone, self._microphones), (speaker, self._speakers)

    def _lines_changed(self) -> None:
        self.start()
        self._queue.put(_Changed(look=False))

    def _drop_microphone(self, microphone: DeviceMicrophone) -> None:
        with self._lock:
            self._microphones = tuple(one for one in self._microphones if one is not microphone)
        self._lines_changed()

    def _drop_speaker(self, speaker: DeviceSpeaker) -> None:
        with self._lock:
            self._speakers = tuple(one for one in self._speakers if one is not speaker)
        self._lines_changed()
