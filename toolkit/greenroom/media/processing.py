"""The microphone's sound before it is coded: echo, noise and level, by WebRTC where the extra is there, else lightly."""

from __future__ import annotations

import importlib.util
from typing import Protocol

from greenroom.media.blocks import Block
from greenroom.media.processing_light import LightProcessor
from greenroom.state.audio import Acting

STEP = 480
"""Frames of 10 ms: what a processor takes at once; blocks are whole multiples of it."""


class Processor(Protocol):
    """Treats one source's sound. Belongs to one thread."""

    def process(self, block: Block) -> Block:
        """Return `block`, whose length is a multiple of `STEP`, treated; it lags by 5 to 10 ms."""

    def played(self, block: Block) -> None:
        """Take what our loudspeaker plays, any multiple of `STEP`, in the order it is played: the echo is made of it."""

    def set_delay(self, seconds: float) -> None:
        """Say how long after `played` its echo is heard by `process`, as far as that is known."""


def webrtc_installed() -> bool:
    """Return whether the extra `processing` is there, without loading it."""
    try:
        return importlib.util.find_spec("livekit.rtc") is not None
    except (ImportError, ValueError):
        return False


def prepare() -> None:
    """Load the extra, which takes a tenth of a second the first time: call it beside a loop, then make a processor.

    Never raises: `new_processor` says what is wrong.
    """
    from greenroom.media.processing_webrtc import load

    load()


def new_processor(acting: Acting, channels: int) -> Processor | None:
    """Return what treats a source of `channels` as `acting` says, None to leave it as it is. Raises `AudioUnavailable`."""
    match acting.by:
        case "webrtc":
            from greenroom.media.processing_webrtc import WebrtcProcessor

            return WebrtcProcessor(acting.done, channels)
        case "light":
            return LightProcessor(acting.done, channels)
        case "none":
            return None
