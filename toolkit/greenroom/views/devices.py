"""Sound devices in words: rows to choose from, and what became of the microphone and the loudspeaker."""

from __future__ import annotations

import msgspec

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


class DeviceRow(msgspec.Struct, frozen=True):
    """One device. `direction`: microphone, loudspeaker or both; `mark`: what is special about it."""

    index: int
    name: str
    direction: str
    host: str
    mark: str = ""


class ChoiceRow(msgspec.Struct, frozen=True):
    """One thing to choose for one direction. `wish` is what choosing it asks for; `chosen`: it is what was asked for last;
    `running`: sound passes through it; `note` says what is special about it."""

    direction: Direction
    wish: str
    name: str
    chosen: bool = False
    running: bool = False
    note: str = ""

    @property
    def key(self) -> str:
        """What stays the same while devices come and go."""
        return f"{self.direction} {self.wish}"


def choice_rows(state: DevicesState) -> tuple[ChoiceRow, ...]:
    """Return what can be chosen: for each direction the system's default, every device, and none."""
    return (*_choices(state, state.microphone), *_choices(state, state.speaker))


def device_rows(state: DevicesState) -> tuple[DeviceRow, ...]:
    """Return the devices there are, microphones first, what only listens to a loudspeaker last."""
    return tuple(
        DeviceRow(device.index, device.name, _direction(device), device.host, _mark(device))
        for device in sorted(state.available, key=lambda one: (one.monitor, one.inputs == 0, one.index))
    )


def line_words(line: Line) -> str:
    """Return what became of one direction: `microphone: Blue Yeti`, or the reason why there is none."""
    kind = _kind(line)
    if line.phase is DevicePhase.RUNNING:
        return f"{kind}: {line.device}"
    if line.phase is DevicePhase.OPENING:
        return f"{kind}: opening {line.device}"
    if line.phase is DevicePhase.OFF:
        return f"{kind}: none was chosen" if line.wish == NO_DEVICE else f"{kind}: not in use"
    return line.reason


def device_words(before: DevicesState | None, after: DevicesState) -> tuple[str, ...]:
    """Return what to tell a person about a change: a device that went away, came back, or is another one now."""
    told = []
    for old, new in (
        (None if before is None else before.microphone, after.microphone),
        (None if before is None else before.speaker, after.speaker),
    ):
        was = None if old is None else (old.phase, old.device)
        if was == (new.phase, new.device) or new.phase in (DevicePhase.OFF, DevicePhase.OPENING):
            continue
        told.append(line_words(new))
    return tuple(dict.fromkeys(told))  # one missing sound system is missing once


def level_words(line: Line, peak_dbfs: float) -> str:
    """Return what a peak of `peak_dbfs` says about a microphone, with what to do about it."""
    if not line.usable:
        return "no microphone was tried"
    if peak_dbfs <= -70.0:
        return "nothing was heard: is it muted, or another one the right one?"
    if peak_dbfs < -30.0:
        return f"soft, {peak_dbfs:.0f} dBFS at most: come closer or turn it up"
    if peak_dbfs > -1.0:
        return f"too loud, {peak_dbfs:.0f} dBFS: turn it down"
    return f"good, {peak_dbfs:.0f} dBFS at most"


def _choices(state: DevicesState, line: Line) -> tuple[ChoiceRow, ...]:
    direction, wish = line.direction, line.wish
    devices = sorted(
        (device for device in state.available if device.channels(direction)),
        key=lambda device: (device.monitor, device.index),
    )
    if not devices and wish in ("", NO_DEVICE):
        return ()
    meant = choose(state.available, wish, direction) if wish not in ("", NO_DEVICE) else None
    names = [device.name for device in devices]
    default = choose(state.available, "", direction)
    told = default.name if isinstance(default, Device) else "there is none"
    rows = [ChoiceRow(direction, "", "system default", wish == "", note=told)]
    for device in devices:
        # Two of the same name are told apart by what the system calls them.
        asked = device.name if names.count(device.name) == 1 else device.key
        running = line.phase is DevicePhase.RUNNING and line.device == device.name
        rows.append(
            ChoiceRow(
                direction, asked, device.name, device == meant, running and wish != NO_DEVICE, _mark(device)
            )
        )
    if isinstance(meant, Unknown):
        rows.append(ChoiceRow(direction, wish, wish, chosen=True, note="not there now"))
    rows.append(ChoiceRow(direction, NO_DEVICE, "none", wish == NO_DEVICE))
    return tuple(rows)


def _kind(line: Line) -> str:
    return "microphone" if line.direction is Direction.INPUT else "loudspeaker"


def _direction(device: Device) -> str:
    if device.inputs and device.outputs:
        return "both"
    return "microphone" if device.inputs else "loudspeaker"


def _mark(device: Device) -> str:
    if device.default_input and device.default_output:
        return "default"
    if device.default_input or device.default_output:
        return "default" if not (device.inputs and device.outputs) else "default for one direction"
    return "hears a loudspeaker" if device.monitor else ""
