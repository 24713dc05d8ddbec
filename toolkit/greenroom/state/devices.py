"""Sound devices as values: which there are, which one a person means, what became of the microphone and speaker."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

SILENCE_DBFS = -96.0
NO_DEVICE = "none"
STALLED_AFTER_SECONDS = 0.3
FIRST_SOUND_SECONDS = 3.0
REOPEN_STALLED_SECONDS = 5.0
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)


class Direction(StrEnum):
    """Which way sound goes through a device."""

    INPUT = "input"
    OUTPUT = "output"


class Device(msgspec.Struct, frozen=True):
    """One thing that records or plays. `key` stays the same while others come and go; `index` does not.

    `inputs` and `outputs` count channels. `monitor`: records what a loudspeaker plays.
    """

    key: str
    index: int
    name: str
    host: str = ""
    inputs: int = 0
    outputs: int = 0
    default_input: bool = False
    default_output: bool = False
    monitor: bool = False

    def channels(self, direction: Direction) -> int:
        """How many channels it has in `direction`; 0 when it does not go that way."""
        return self.inputs if direction is Direction.INPUT else self.outputs

    def is_default(self, direction: Direction) -> bool:
        """Whether the system takes it when nobody says which."""
        return self.default_input if direction is Direction.INPUT else self.default_output


class DevicePhase(StrEnum):
    """What became of one direction.

    `OFF`: not wanted. `ABSENT`: there is no such device. `STALLED`: open, but no sound passes. `LOST`: it went away
    or cannot be opened. Without a device, sound goes on: silence is sent, what is heard is forgotten.
    """

    OFF = "off"
    OPENING = "opening"
    RUNNING = "running"
    STALLED = "stalled"
    LOST = "lost"
    ABSENT = "absent"


class Line(msgspec.Struct, frozen=True):
    """One direction: what was `wish`ed (empty: the system's default), which `device` that is, and why it is silent."""

    direction: Direction
    wish: str = ""
    phase: DevicePhase = DevicePhase.OFF
    device: str = ""
    reason: str = ""
    attempt: int = 0

    @property
    def usable(self) -> bool:
        """Whether sound passes, or is just about to."""
        return self.phase in (DevicePhase.RUNNING, DevicePhase.OPENING)


class DevicesState(msgspec.Struct, frozen=True):
    """Everything known about sound devices. `backend` is who lends them; `problem` is empty, or names what would mend it."""

    available: tuple[Device, ...] = ()
    backend: str = ""
    problem: str = ""
    microphone: Line = Line(Direction.INPUT)
    speaker: Line = Line(Direction.OUTPUT)


class Unknown(msgspec.Struct, frozen=True):
    """No single device is meant, in words that say what to write instead."""

    words: str


def choose(devices: Sequence[Device], wish: str, direction: Direction) -> Device | Unknown:
    """Return the device that `wish` means in `direction`: an index, a name or a part of one, in any case.

    An empty wish means the system's default, or the first there is. A monitor is meant only when nothing else fits.
    """
    fitting = [device for device in devices if device.channels(direction) > 0]
    kind = "microphone" if direction is Direction.INPUT else "loudspeaker"
    if not fitting:
        return Unknown(f"there is no {kind}; connect one, or use the browser page on a device that has one")
    ordinary = [device for device in fitting if not device.monitor]
    if not wish:
        default = next((device for device in fitting if device.is_default(direction)), None)
        return default or (ordinary or fitting)[0]
    if wish.isdecimal():
        numbered = next((device for device in fitting if device.index == int(wish)), None)
        if numbered is not None:
            return numbered
    wanted = wish.casefold()
    for candidates in (ordinary, fitting):
        exact = [device for device in candidates if wanted in (device.name.casefold(), device.key.casefold())]
        partly = [device for device in candidates if wanted in device.name.casefold()]
        if exact:
            return exact[0]
        if len(partly) == 1:
            return partly[0]
        if partly:
            names = ", ".join(f"'{device.name}'" for device in partly[:4])
            return Unknown(f"'{wish}' could be {names}; write more of the name")
    return Unknown(f"there is no {kind} '{wish}' now; greenroom devices lists them")


def retry_after_seconds(attempt: int) -> float:
    """Return how long to wait before attempt number `attempt` (from 1) to open a device again."""
    return RETRY_SECONDS[min(max(attempt, 1), len(RETRY_SECONDS)) - 1]


class Watched(msgspec.Struct, frozen=True):
    """What the watchdog knows of an open stream; times are monotonic seconds. `last_sound_at`: None before the first."""

    opened_at: float
    last_sound_at: float | None = None
    stalled_since: float | None = None


class Verdict(StrEnum):
    """What an open stream is doing."""

    WAITING = "waiting"
    RUNNING = "running"
    STALLED = "stalled"
    GIVEN_UP = "given up"


def judge(watched: Watched, now: float) -> Verdict:
    """Return what the stream is doing: the first sound may take 3 s, then 0.3 s without any is a stall.

    Sound that comes back ends a stall; after 5 s of it the stream is given up, to be opened anew.
    """
    last = watched.last_sound_at
    if last is None and now - watched.opened_at <= FIRST_SOUND_SECONDS:
        return Verdict.WAITING
    if last is not None and now - last <= STALLED_AFTER_SECONDS:
        return Verdict.RUNNING
    since = watched.stalled_since
    return Verdict.GIVEN_UP if since is not None and now - since > REOPEN_STALLED_SECONDS else Verdict.STALLED


def speaker_reason(line: Line) -> str:
    """Return why there is no loudspeaker device, for a person; empty when there is one."""
    return "" if line.usable else (line.reason or "no loudspeaker device")


def microphone_reason(line: Line) -> str:
    """Return why there is no microphone device, for a person; empty when there is one."""
    return "" if line.usable else (line.reason or "no microphone device")
