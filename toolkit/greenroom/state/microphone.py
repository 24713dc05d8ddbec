"""Whether a microphone is open and a call is heard: computed from everything that has a say, never saved and restored."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.protocol.ids import UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.room import Room, may
from greenroom.state.call import CallPhase, MediaPhase, Microphone
from greenroom.state.focus import ALL, Hearing, Share


def effective_microphone(
    wish: bool,
    room: Room | None,
    me: UserId,
    *,
    phase: CallPhase,
    media: MediaPhase,
    share: Share = ALL,
    device: bool = True,
    device_reason: str = "no microphone device",
) -> Microphone:
    """Return wish, result, every input and the reason in words. Open needs all of: wish, presence, capability, the
    microphone's share, a device, no standing mute by a moderator, and connected sound; the first that is missing is
    the reason. `device_reason` says why there is no device."""
    participant = None if room is None else room.participants.get(me)
    by = None if participant is None else participant.muted_by
    present = room is not None and participant is not None and phase is CallPhase.JOINED
    microphone = Microphone(
        wish=wish,
        permitted=room is not None and participant is not None and may(room, me, Capability.SEND_AUDIO),
        suspended=share.suspended,
        held=share.microphone,
        moderated=by is not None,
        device=device,
        connected=media is MediaPhase.CONNECTED,
    )
    told = participant is not None and participant.microphone
    reasons = (
        (wish, "switched off" if by is None or room is None else f"muted by {_name(room, by)}"),
        (present, "not in the room yet"),
        (microphone.permitted, f"without permission to speak ({Capability.SEND_AUDIO})"),
        (not share.suspended and share.microphone, share.why or "another call has the microphone"),
        (device, device_reason),
        (told, "the room has not opened it yet"),
        (microphone.connected, "sound is not connected"),
    )
    missing = next((words for true, words in reasons if not true), None)
    return replace(microphone, open=missing is None, reason=missing or "open")


def effective_hearing(
    share: Share,
    *,
    phase: CallPhase,
    media: MediaPhase,
    device: bool = True,
    device_reason: str = "no loudspeaker",
) -> Hearing:
    """Return whether a call is heard, every input and the reason in words, as for the microphone."""
    reasons = (
        (phase in (CallPhase.JOINED, CallPhase.RECONNECTING), "not in the room yet"),
        (not share.suspended, share.why),
        (device, device_reason),
        (media is MediaPhase.CONNECTED, "sound is not connected"),
    )
    missing = next((words for true, words in reasons if not true), None)
    return Hearing(
        open=missing is None,
        reason=missing or ("heard" if share.gain_db == 0.0 else f"{-share.gain_db:g} dB softer: {share.why}"),
        suspended=share.suspended,
        connected=media is MediaPhase.CONNECTED,
        device=device,
        gain_db=share.gain_db,
        pan=share.pan,
    )


def _name(room: Room, user: UserId) -> str:
    known = room.participants.get(user)
    return user if known is None else known.name
