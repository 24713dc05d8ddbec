"""What turning a knob of a call's sound does: the value that comes next, within what makes sense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from greenroom.protocol.ids import UserId
from greenroom.state.audio import EffectiveAudio, NoiseSuppression
from greenroom.state.call import CallState
from greenroom.state.own_requests import ConfigureAudio, SetPersonMuted, SetVolume
from greenroom.state.volumes import Volume, louder
from greenroom.views.audio import value_words

BITRATES = (12_000, 16_000, 24_000, 32_000, 48_000, 64_000, 96_000, 128_000, 192_000, 256_000)
"""Steps of the bitrate in bits a second."""
RED_DEPTHS: tuple[str | int, ...] = ("adaptive", 0, 1, 2)
EXPECTED_LOSSES: tuple[str | int, ...] = ("adaptive", 0, 5, 10, 20, 30)
SWITCHES = ("dtx", "fec", "echo_cancellation", "gain_control")

T = TypeVar("T")


def next_value(audio: EffectiveAudio, name: str, steps: int = 1) -> str | int | bool:
    """Return what a value of `AudioConfiguration` becomes after `steps` of its knob.

    The bitrate stops at its ends; the others go round.
    """
    match name:
        case "bitrate":
            return _next_bitrate(audio.bitrate, steps)
        case "red_depth":
            return _after(RED_DEPTHS, audio.red_depth, steps)
        case "expected_loss_percent":
            return _after(EXPECTED_LOSSES, audio.expected_loss_percent, steps)
        case "noise_suppression":
            return _after(tuple(NoiseSuppression), audio.noise_suppression, steps)
        case _:
            return not getattr(audio, name)


def turned(call: CallState, name: str, steps: int = 1) -> ConfigureAudio | None:
    """Return the request that turns a knob; None before the call has sound."""
    return None if call.audio is None else ConfigureAudio({name: next_value(call.audio, name, steps)})


def knob_label(call: CallState, name: str, title: str, steps: int = 1) -> str:
    """Return what turning would do: `RED: one earlier packet`."""
    if call.audio is None:
        return title
    words = value_words(name, next_value(call.audio, name, steps))
    return f"{title} {words}" if name in ("bitrate", *SWITCHES) else f"{title}: {words}"


def volume_of(call: CallState, user: UserId) -> Volume:
    """Return how loud somebody is for me."""
    return Volume(call.volumes.get(user, 1.0), user in call.muted_for_me)


def volume_words(volume: Volume) -> str:
    """Return how loud somebody is for me: `+3 dB`, `−6 dB`, `muted for me`; empty for as they are sent."""
    if volume.muted:
        return "muted for me"
    if volume.gain <= 0.0:
        return "silent for me"
    decibels = 20.0 * math.log10(volume.gain)
    return "" if abs(decibels) < 0.5 else f"{decibels:+.0f} dB".replace("-", "−")


def volume_turned(call: CallState, user: UserId | None, steps: int) -> SetVolume | None:
    """Return the request that makes somebody louder or softer for me; None where nobody is meant."""
    return None if user is None else SetVolume(user, louder(volume_of(call, user), steps).gain)


def mute_turned(call: CallState, user: UserId | None) -> SetPersonMuted | None:
    """Return the request that silences somebody for me, or no longer; None where nobody is meant."""
    return None if user is None else SetPersonMuted(user, user not in call.muted_for_me)


def _next_bitrate(bitrate: int, steps: int) -> int:
    if steps > 0:
        return next((step for step in BITRATES if step > bitrate), max(BITRATES[-1], bitrate))
    return next((step for step in reversed(BITRATES) if step < bitrate), min(BITRATES[0], bitrate))


def _after(values: Sequence[T], value: object, steps: int) -> T:
    here = list(values).index(value) if value in values else -1  # type: ignore[arg-type]  # what is not there is -1
    return values[(here + steps) % len(values)]
