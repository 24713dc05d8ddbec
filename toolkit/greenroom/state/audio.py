"""What a call's sound is made of, as values; `policies.audio_config` decides them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

Application = Literal["voip", "audio", "lowdelay"]
Route = Literal["speaker", "headphones", "bluetooth", "earpiece"]
RedDepth = Literal["adaptive", 0, 1, 2]
FrameLength = Literal[10, 20, 40, 60]
ExpectedLoss = int | Literal["adaptive"]
ProcessedBy = Literal["webrtc", "light", "none"]
Detector = Literal["silero", "webrtc", "energy"]


class NoiseSuppression(StrEnum):
    """How much steady noise is taken out of the microphone's sound."""

    OFF = "off"
    NORMAL = "normal"
    STRONG = "strong"


class Origin(StrEnum):
    """Who decided a value. `MUSIC`: music is being sent, which leaves the microphone untouched."""

    CALL = "call"
    CLIENT = "client"
    BROADCASTER = "broadcaster"
    ROOM = "room"
    MUSIC = "music"


class Processing(msgspec.Struct, frozen=True):
    """What is done to a microphone's sound before it is coded."""

    echo_cancellation: bool = False
    noise_suppression: NoiseSuppression = NoiseSuppression.OFF
    gain_control: bool = False

    @property
    def wanted(self) -> bool:
        """Whether anything is to be done at all."""
        return self != UNTOUCHED


UNTOUCHED = Processing()


class Acting(msgspec.Struct, frozen=True):
    """What really happens to a microphone's sound: `done`, `by` whom, and why that is not all that was asked for.

    `by`: "webrtc" (the extra `processing`), "light" (built in) or "none". An empty `reason` means that all acts.
    """

    by: ProcessedBy = "none"
    done: Processing = UNTOUCHED
    reason: str = ""


class EffectiveAudio(msgspec.Struct, frozen=True):
    """What a call's sound is made of, and for each value who said so. `frozen`: the call has used sound.

    `acting` is what becomes of the wishes about the microphone's processing, `route_reason` why the wish for a route
    has no effect here ("" where it has). `music`: processing is off because music is sent.
    """

    channels: Literal[1, 2]
    sample_rate_hz: int
    bitrate: int
    application: Application
    complexity: int
    dtx: bool
    fec: bool
    expected_loss_percent: ExpectedLoss
    red_depth: RedDepth
    frame_length_ms: FrameLength
    echo_cancellation: bool
    noise_suppression: NoiseSuppression
    gain_control: bool
    playout_target_ms: int
    stereo_playout: bool
    output_route: Route
    origins: Mapping[str, Origin] = {}
    frozen: bool = False
    music: bool = False
    acting: Acting = Acting()
    route_reason: str = ""

    @property
    def playout_channels(self) -> Literal[1, 2]:
        """How many channels what we hear has."""
        return 2 if self.stereo_playout else 1

    @property
    def processing(self) -> Processing:
        """What is asked to be done to the microphone's sound."""
        return Processing(self.echo_cancellation, self.noise_suppression, self.gain_control)


class LiveAudio(msgspec.Struct, frozen=True):
    """What the sender can change from one packet to the next."""

    bitrate: int = 64_000
    dtx: bool = True
    fec: bool = True
    red_depth: int = 0
    expected_loss_percent: int = 10
