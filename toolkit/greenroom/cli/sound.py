"""Sound devices on the command line: the command `devices`, and which devices the others use."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from greenroom.cli.config import Origin, Resolved, resolve
from greenroom.cli.output import Exit, say, say_error, say_json, table
from greenroom.errors import AudioUnavailable
from greenroom.media.device_memory import Remembered, recall, remember
from greenroom.media.native_words import without_native_words
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

if TYPE_CHECKING:
    from greenroom.media.audio_session import AudioSession

InputOption = Annotated[
    str | None,
    typer.Option("--input", help="Microphone: index, name or part of it; 'none' for none. Remembered."),
]
OutputOption = Annotated[
    str | None,
    typer.Option("--output", help="Loudspeaker: index, name or part of it; 'none' for none. Remembered."),
]

_BAR_COLUMNS = 30


def devices(
    input: InputOption = None,
    output: OutputOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Listen to the microphone for 3 s and play a chime.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List microphones and loudspeakers, choose the ones to use from now on, and try them."""
    from greenroom.media.audio_session import AudioSession
    from greenroom.media.device_check import check_sound
    from greenroom.media.devices import look
    from greenroom.views.devices import device_rows, level_words, line_words

    resolved = resolve({"input": input, "output": output})
    wishes = wished(resolved)
    found = look()
    wishes = Remembered(
        input=_named(found.devices, wishes.input, Direction.INPUT, expected=bool(input)),
        output=_named(found.devices, wishes.output, Direction.OUTPUT, expected=bool(output)),
    )
    _remember_options(resolved, wishes)
    state = DevicesState(
        available=found.devices,
        backend=found.backend,
        problem=found.problem,
        microphone=Line(Direction.INPUT, wishes.input),
        speaker=Line(Direction.OUTPUT, wishes.output),
    )
    if check:
        with without_native_words(), AudioSession(input=wishes.input, output=wishes.output) as session:
            checked = check_sound(session, on_level=None if json else _show_level)
        state = checked.devices
        if not json:
            if sys.stdout.isatty():
                print("\r" + " " * (_BAR_COLUMNS + 30) + "\r", end="")
            say(line_words(state.microphone))
            say(f"  {level_words(state.microphone, checked.peak_dbfs)}")
            say(line_words(state.speaker))
            say("  a chime was played" if checked.played else "  nothing was played")
        else:
            say_json(checked)
        if not (state.microphone.usable and state.speaker.usable):
            raise typer.Exit(Exit.FAILED)
        return
    if json:
        say_json(state)
        return
    rows = device_rows(state)
    if rows:
        chosen = {
            answer.key
            for wish, direction in ((wishes.input, Direction.INPUT), (wishes.output, Direction.OUTPUT))
            if not isinstance(answer := choose(found.devices, wish, direction), Unknown) and wish != NO_DEVICE
        }
        keys = {device.index: device.key for device in found.devices}
        say(
            table(
                ("#", "name", "is a", "from", ""),
                [
                    (
                        str(row.index),
                        row.name,
                        row.direction,
                        row.host,
                        ", ".join(filter(None, ("chosen" if keys[row.index] in chosen else "", row.mark))),
                    )
                    for row in rows
                ],
            )
        )
    if found.backend:
        say(
            f"{'' if not rows else chr(10)}by {found.backend}; choose with --input and --output, try with --check"
        )
    if found.problem:
        say(found.problem)


def wished(resolved: Resolved) -> Remembered:
    """Return the devices to use: as an option, the environment or the file says, else as remembered."""
    remembered = recall(memory_file(resolved))
    config, origins = resolved.config, resolved.origins
    return Remembered(
        input=remembered.input if origins["input"] is Origin.DEFAULT else config.input,
        output=remembered.output if origins["output"] is Origin.DEFAULT else config.output,
    )


def memory_file(resolved: Resolved) -> Path:
    """Return where choices are remembered: beside the configuration."""
    return resolved.file.with_name("devices.json")


def volumes_file(resolved: Resolved) -> Path:
    """Return where it is remembered how loud people are for us: beside the configuration."""
    return resolved.file.with_name("volumes.json")


@contextlib.contextmanager
def open_session(
    resolved: Resolved, *, microphone: bool = True, speaker: bool = True
) -> Iterator[AudioSession]:
    """Open the devices that were chosen, or the defaults; what an option names is remembered.

    What is not to be used stays closed. A device that was remembered and is not there gives way to the default.
    """
    from greenroom.media.audio_session import AudioSession

    wishes = wished(resolved)
    remembered = {direction for direction in Direction if resolved.origins[direction.value] is Origin.DEFAULT}
    with (
        without_native_words(),
        AudioSession(
            input=wishes.input if microphone else NO_DEVICE,
            output=wishes.output if speaker else NO_DEVICE,
            lenient=remembered,
            memory=memory_file(resolved),
        ) as session,
    ):
        yield session


def expect_devices(session: AudioSession, resolved: Resolved, *, try_microphone: bool = False) -> None:
    """Wait for the devices. Raises `AudioUnavailable` where an option named one that cannot be used; else says so.

    A microphone is opened for that with `try_microphone` only: otherwise it need only be there.
    """
    tried = session.microphone() if try_microphone else None
    try:
        state = session.wait_ready()
    finally:
        if tried is not None:
            tried.close()
    for line in (state.microphone, state.speaker):
        named = resolved.origins[line.direction.value] is Origin.OPTION and line.wish != NO_DEVICE
        if named and isinstance(answer := choose(state.available, line.wish, line.direction), Unknown):
            raise AudioUnavailable(state.problem or answer.words)
    said = set()
    for line in (state.microphone, state.speaker):
        if line.phase not in (DevicePhase.ABSENT, DevicePhase.LOST):
            continue
        if resolved.origins[line.direction.value] is Origin.OPTION:
            raise AudioUnavailable(line.reason)
        if line.reason not in said:
            said.add(line.reason)
            say_error(f"{line.reason} (going on without)")
    _remember_options(resolved, Remembered(input=state.microphone.wish, output=state.speaker.wish))


def _named(available: Sequence[Device], wish: str, direction: Direction, *, expected: bool) -> str:
    """Return `wish`, an index as the name it means today. Raises `AudioUnavailable` where it is `expected` and not there."""
    if wish == NO_DEVICE:
        return wish
    answer = choose(available, wish, direction)
    if isinstance(answer, Unknown):
        if expected:
            raise AudioUnavailable(answer.words)
        return wish
    return answer.name if wish.isdecimal() else wish


def _remember_options(resolved: Resolved, wishes: Remembered) -> None:
    chosen = {
        name: getattr(wishes, name)
        for name in wishes.__struct_fields__
        if resolved.origins[name] is Origin.OPTION
    }
    before = recall(memory_file(resolved))
    after = replace(before, **chosen)
    if after != before and not remember(memory_file(resolved), after):
        say_error(f"the choice cannot be remembered: {memory_file(resolved).parent} cannot be written")


def _show_level(peak_dbfs: float) -> None:
    if sys.stdout.isatty():
        filled = round(max(0.0, min(1.0, (peak_dbfs + 60.0) / 60.0)) * _BAR_COLUMNS)
        bar = "█" * filled + "·" * (_BAR_COLUMNS - filled)
        print(f"\rspeak now  {bar} {peak_dbfs:6.1f} dBFS", end="", flush=True)
