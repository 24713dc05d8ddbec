"""What can be done to a microphone's sound here, and why not more. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.state.audio import UNTOUCHED, Acting, Processing

EXTRA = "pip install 'greenroom[processing]'"


def plan_processing(wanted: Processing, *, microphone: bool, webrtc: bool, music: bool = False) -> Acting:
    """Return what to do with a source's sound.

    `microphone`: whether the source picks up a room; a file or a tone is sent as it is. `webrtc`: whether the extra is
    installed; without it noise and gain are treated by a light stand-in, and echo is not.
    """
    if not wanted.wanted:
        return Acting(reason="music is being sent" if music else "")
    if not microphone:
        return Acting(reason="what is sent does not come from a microphone")
    if webrtc:
        return Acting("webrtc", wanted)
    light = replace(wanted, echo_cancellation=False)
    reason = f"echo cancellation needs more ({EXTRA}); use headphones" if wanted.echo_cancellation else ""
    return Acting("light" if light != UNTOUCHED else "none", light, reason)
