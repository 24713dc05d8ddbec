"""Whether a microphone is open: computed from everything that has a say, never saved and restored."""

from __future__ import annotations

from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Room, may
from greenroom.state.call import CallPhase, MediaPhase, Microphone


def effective_microphone(
    wish: bool,
    room: Room | None,
    me: UserId,
    *,
    phase: CallPhase,
    media: MediaPhase,
    suspended: bool = False,
    device: bool = True,
    device_reason: str = "no microphone device",
) -> Microphone:
    """Return wish, result and the reason in words. Open needs all of: wish, presence, capability, no suspension, a
    device, no standing mute by a moderator, and connected sound; the first that is missing is the reason.
    `device_reason` says why there is no device."""
    participant = None if room is None else room.participants.get(me)
    if not wish:
        by = None if participant is None or room is None else participant.muted_by
        muter = None if by is None or room is None else room.participants.get(by)
        reason = "switched off" if by is None else f"muted by {muter.name if muter is not None else by}"
        return Microphone(wish=False, open=False, reason=reason)
    if room is None or participant is None or phase is not CallPhase.JOINED:
        return Microphone(wish=True, open=False, reason="not in the room yet")
    if not may(room, me, Capability.SEND_AUDIO):
        return Microphone(
            wish=True, open=False, reason=f"without permission to speak ({Capability.SEND_AUDIO})"
        )
    if suspended:
        return Microphone(wish=True, open=False, reason="suspended: another call has the microphone")
    if not device:
        return Microphone(wish=True, open=False, reason=device_reason)
    if not participant.microphone:
        return Microphone(wish=True, open=False, reason="the room has not opened it yet")
    if media is not MediaPhase.CONNECTED:
        return Microphone(wish=True, open=False, reason="sound is not connected")
    return Microphone(wish=True, open=True, reason="open")
