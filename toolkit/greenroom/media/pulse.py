"""PulseAudio's devices (and PipeWire's, which speaks its language), as `pactl` tells them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import msgspec

from greenroom.protocol.text import safe_text
from greenroom.state.devices import Device

ANSWER_SECONDS = 3.0
_NAME_COLUMNS = 80
_ENGLISH = {"LC_ALL": "C"}


class PulseDevices(msgspec.Struct, frozen=True):
    """What a sound server lends: its devices, sources before sinks, and its name."""

    devices: tuple[Device, ...]
    server: str


def pulse_devices() -> PulseDevices | None:
    """Return what the sound server lends now; None where there is no `pactl`, or no server answers it."""
    info = _ask("info")
    sources = _ask("list", "sources")
    sinks = _ask("list", "sinks")
    if not isinstance(info, dict) or not isinstance(sources, list) or not isinstance(sinks, list):
        return None
    try:
        return parse(info, sources, sinks)
    except (KeyError, TypeError, ValueError):
        return None


def parse(info: dict[str, Any], sources: list[dict[str, Any]], sinks: list[dict[str, Any]]) -> PulseDevices:
    """Return the devices in `pactl`'s JSON. Raises KeyError, TypeError or ValueError for something else."""
    default_source, default_sink = info.get("default_source_name"), info.get("default_sink_name")
    inputs = [
        Device(
            key=f"pulse:{source['name']}",
            index=0,
            name=_name(source),
            host="PulseAudio",
            inputs=_channels(source),
            default_input=source["name"] == default_source,
            monitor=bool(source.get("monitor_source")),
        )
        for source in sources
    ]
    outputs = [
        Device(
            key=f"pulse:{sink['name']}",
            index=0,
            name=_name(sink),
            host="PulseAudio",
            outputs=_channels(sink),
            default_output=sink["name"] == default_sink,
        )
        for sink in sinks
    ]
    found = (*inputs, *outputs)
    server = f"{info.get('server_name', 'PulseAudio')} {info.get('server_version', '')}".strip()
    return PulseDevices(
        tuple(msgspec.structs.replace(device, index=number) for number, device in enumerate(found)), server
    )


def subscribe() -> subprocess.Popen[bytes] | None:
    """Return a `pactl subscribe`, whose lines tell of every change and which ends with the server; None without `pactl`."""
    program = shutil.which("pactl")
    if program is None:
        return None
    try:
        return subprocess.Popen(
            [program, "subscribe"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ENGLISH},
        )
    except OSError:
        return None


def _ask(*words: str) -> Any:
    program = shutil.which("pactl")
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program, "--format=json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=True,
            env={**os.environ, **_ENGLISH},
        ).stdout
        return msgspec.json.decode(answer)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return None


def _name(found: dict[str, Any]) -> str:
    """Return the name of a device as people know it; strangers may have chosen it (Bluetooth), so nothing in it acts."""
    description = str(found.get("description") or "")
    return safe_text(description if description != "(null)" else "", _NAME_COLUMNS) or str(found["name"])


def _channels(found: dict[str, Any]) -> int:
    """Return the channels of a specification such as `s16le 2ch 48000Hz`."""
    words = str(found["sample_specification"]).split()
    return int(next(word for word in words if word.endswith("ch")).removesuffix("ch"))
