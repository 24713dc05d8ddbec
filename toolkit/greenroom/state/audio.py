"""What a call's sound is made of, as values; `policies.audio_config` decides them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

Application = Literal["voip", "audio", "lowdelay"]
Route = Literal["speaker", "headphones"]
RedDepth = Literal["adaptive", 0, 1, 2]


class NoiseSuppression(StrEnum):
    """How much steady noise is taken out of the microphone's sound."""

    OFF = "off"
    NORMAL = "normal"
    STRONG = "strong"


class Origin(StrEnum):
    """Who decided a value."""

    CALL = "call"
    CLIENT = "client"
    BROADCASTER = "broadcaster"
    ROOM = "room"


class EffectiveAudio(msgspec.Struct, frozen=True):
    """What a call's sound is made of, and for each value who said so. `frozen`: the call has used sound."""

    channels: Literal[1, 2]
    sample_rate_hz: int
    bitrate: int
    application: Application
    complexity: int
    dtx: bool
    fec: bool
    red_depth: RedDepth
    echo_cancellation: bool
    noise_suppression: NoiseSuppression
    gain_control: bool
    playout_target_ms: int
    stereo_playout: bool
    output_route: Route
    origins: Mapping[str, Origin] = {}
    frozen: bool = False

    @property
    def playout_channels(self) -> Literal[1, 2]:
        """How many channels what we hear has."""
        return 2 if self.stereo_playout else 1


class LiveAudio(msgspec.Struct, frozen=True):
    """What the sender can change from one packet to the next."""

    bitrate: int = 64_000
    dtx: bool = True
    fec: bool = True
    red_depth: int = 0
    expected_loss_percent: int = 10
