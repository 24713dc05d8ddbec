"""Live audio rooms and calls in Python.

Importing this is cheap: what the names below stand for is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenroom.backends.loopback import LoopbackWorld
    from greenroom.engine.call import Call
    from greenroom.engine.call_manager import CallManager
    from greenroom.engine.client import Client
    from greenroom.engine.thread import EngineThread
    from greenroom.errors import (
        Ambiguous,
        AudioUnavailable,
        GreenroomError,
        Malformed,
        MediaFailed,
        Misuse,
        Refused,
        SetUpIncomplete,
        StorageFailed,
        Unauthorized,
        Unreachable,
    )
    from greenroom.hosting import ServerProcess, start_server, start_server_async
    from greenroom.media.audio_session import AudioSession
    from greenroom.media.files import File
    from greenroom.media.sinks import AudioSink, Callback, Meter, Null, WavFile
    from greenroom.media.sources import AudioSource, Silence, Tone
    from greenroom.media.voices import Voice
    from greenroom.observable import Observable, Subscription
    from greenroom.policies.preferences import CallPreferences
    from greenroom.protocol.permissions import Capability
    from greenroom.state.call import CallState
    from greenroom.state.call_settings import CallSettings, IdleTimeout
    from greenroom.state.connect_options import ConnectOptions
    from greenroom.state.engine import ClientState
    from greenroom.state.focus import MultiCallPolicy

_MODULES = {
    "greenroom.backends.loopback": ("LoopbackWorld",),
    "greenroom.engine.call": ("Call",),
    "greenroom.engine.call_manager": ("CallManager",),
    "greenroom.engine.client": ("Client",),
    "greenroom.engine.thread": ("EngineThread",),
    "greenroom.errors": (
        "Ambiguous",
        "AudioUnavailable",
        "GreenroomError",
        "Malformed",
        "MediaFailed",
        "Misuse",
        "Refused",
        "SetUpIncomplete",
        "StorageFailed",
        "Unauthorized",
        "Unreachable",
    ),
    "greenroom.hosting": ("ServerProcess", "start_server", "start_server_async"),
    "greenroom.media.audio_session": ("AudioSession",),
    "greenroom.media.files": ("File",),
    "greenroom.media.sinks": ("AudioSink", "Callback", "Meter", "Null", "WavFile"),
    "greenroom.media.sources": ("AudioSource", "Silence", "Tone"),
    "greenroom.media.voices": ("Voice",),
    "greenroom.observable": ("Observable", "Subscription"),
    "greenroom.policies.preferences": ("CallPreferences",),
    "greenroom.protocol.permissions": ("Capability",),
    "greenroom.state.call": ("CallState",),
    "greenroom.state.call_settings": ("CallSettings", "IdleTimeout"),
    "greenroom.state.connect_options": ("ConnectOptions",),
    "greenroom.state.engine": ("ClientState",),
    "greenroom.state.focus": ("MultiCallPolicy",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Ambiguous",
    "AudioSession",
    "AudioSink",
    "AudioSource",
    "AudioUnavailable",
    "Call",
    "CallManager",
    "CallPreferences",
    "CallSettings",
    "CallState",
    "Callback",
    "Capability",
    "Client",
    "ClientState",
    "ConnectOptions",
    "EngineThread",
    "File",
    "GreenroomError",
    "IdleTimeout",
    "LoopbackWorld",
    "Malformed",
    "MediaFailed",
    "Meter",
    "Misuse",
    "MultiCallPolicy",
    "Null",
    "Observable",
    "Refused",
    "ServerProcess",
    "SetUpIncomplete",
    "Silence",
    "StorageFailed",
    "Subscription",
    "Tone",
    "Unauthorized",
    "Unreachable",
    "Voice",
    "WavFile",
    "start_server",
    "start_server_async",
]


def __getattr__(name: str) -> Any:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'greenroom' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
