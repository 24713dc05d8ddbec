"""What works here and the one line that mends what does not."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from greenroom.cli.config import Config
from greenroom.policies.processing import EXTRA
from greenroom.state.devices import NO_DEVICE, Direction, Unknown, choose
from greenroom.views.words import count


class Finding(msgspec.Struct, frozen=True):
    """`state`: ok, limited (works with less) or broken. `mend`: the one line that helps; empty when nothing is wrong."""

    part: str
    state: str
    words: str
    mend: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Yield one finding a part; nothing is changed, nothing outside this machine is asked but the configured server."""
    checks: tuple[Callable[[Config], Finding], ...] = (
        _python,
        _opus,
        _sound,
        _processing,
        _ports,
        _sending,
        _database,
        _browser,
        _jupyter,
        _server,
    )
    for check in checks:
        yield check(config)


def _python(_config: Config) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"Python {version}")


def _opus(_config: Config) -> Finding:
    from greenroom.media.opus import library

    opus = library()
    if opus is None:
        return Finding(
            "codec",
            "limited",
            "libopus was not found; PyAV encodes, without concealment and live control",
            "apt-get install libopus0",
        )
    opus.opus_get_version_string.restype = ctypes.c_char_p
    return Finding("codec", "ok", opus.opus_get_version_string().decode())


def _sound(config: Config) -> Finding:
    from greenroom.media.devices import look

    found = look()
    inputs = sum(device.inputs > 0 and not device.monitor for device in found.devices)
    outputs = sum(device.outputs > 0 for device in found.devices)
    if found.problem:
        words, _, mend = found.problem.partition("; ")
        return Finding("sound", "limited", f"{words}; files, tones and the browser page work", mend)
    if not inputs or not outputs:
        return Finding(
            "sound",
            "limited",
            f"{count(inputs, 'microphone')}, {count(outputs, 'loudspeaker')}; files and the browser page work",
            "connect what is missing, or join from the browser page",
        )
    for direction, wish in ((Direction.INPUT, config.input), (Direction.OUTPUT, config.output)):
        answer = NO_DEVICE if wish == NO_DEVICE else choose(found.devices, wish, direction)
        if isinstance(answer, Unknown):
            words, _, mend = answer.words.partition("; ")
            return Finding("sound", "limited", f"the configured device: {words}", mend)
    return Finding(
        "sound",
        "ok",
        f"{count(inputs, 'microphone')}, {count(outputs, 'loudspeaker')} by {found.backend}; greenroom devices --check",
    )


def _processing(_config: Config) -> Finding:
    from greenroom.media.processing_webrtc import load
    from greenroom.media.voice_activity import detector_here

    voice = {
        "silero": "by Silero's network",
        "webrtc": "by WebRTC's detector",
        "energy": "by its level alone",
    }
    heard = f"voice is told from noise {voice[detector_here()]}"
    if load() is None:
        words = f"noise and level are treated lightly, echo is not cancelled; {heard}"
        return Finding("processing", "limited", words, EXTRA)
    return Finding("processing", "ok", f"echo, noise and level by WebRTC; {heard}")


def _ports(config: Config) -> Finding:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            return Finding(
                "ports", "broken", f"no UDP port can be opened on loopback: {error}", "allow UDP on 127.0.0.1"
            )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError:
            return Finding(
                "ports",
                "ok",
                f"UDP opens; port {config.port} is taken, perhaps by a server that runs already",
            )
    return Finding("ports", "ok", f"UDP opens, port {config.port} is free")


def _sending(_config: Config) -> Finding:
    found = hasattr(ctypes.CDLL(None), "sendmmsg")
    if not found:
        return Finding(
            "sending", "limited", "sendmmsg is missing; packets go one by one", "run a large server on Linux"
        )
    return Finding("sending", "ok", "sendmmsg sends a thousand packets a call")


def _database(config: Config) -> Finding:
    if config.database:
        return Finding("database", "ok", f"configured: {config.database.partition(':')[0]}")
    data = Path(config.data)
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=data):
            pass
    except OSError as error:
        return Finding(
            "database",
            "broken",
            f"cannot write to {data}: {error.strerror}",
            "choose another folder: greenroom serve --data DIR",
        )
    free_gib = shutil.disk_usage(data).free / 2**30
    if free_gib < 0.5:
        return Finding(
            "database", "limited", f"only {free_gib:.1f} GiB are free in {data}", f"make room in {data}"
        )
    return Finding("database", "ok", f"SQLite in {data}, {free_gib:.0f} GiB free")


def _browser(_config: Config) -> Finding:
    names = ("chromium", "google-chrome", "chromium-browser", "firefox", "firefox-esr")
    found = next((name for name in names if shutil.which(name)), None)
    if found is None:
        return Finding(
            "browser",
            "limited",
            "no browser here; any other device's can open a room's link",
            "apt-get install chromium",
        )
    return Finding("browser", "ok", found)


def _jupyter(_config: Config) -> Finding:
    if importlib.util.find_spec("jupyterlab") is None:
        return Finding("jupyter", "limited", "JupyterLab is not installed", "pip install 'greenroom[lab]'")
    return Finding("jupyter", "ok", "JupyterLab is installed")


def _server(config: Config) -> Finding:
    try:
        with urlopen(f"{config.server}/api/version", timeout=2.0) as response:
            version = str(json.load(response)["version"])
    except (URLError, OSError, ValueError, KeyError):
        return Finding("server", "limited", f"no server answers at {config.server}", "greenroom serve")
    return Finding("server", "ok", f"{config.server} answers: version {version}")
