"""A call in a line: its status, its numbers, its microphone."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.engine import LogLine
from greenroom.state.path import STRAIGHT, Way
from greenroom.views.calls import title_of
from greenroom.views.words import count, duration


def title_words(call: CallState) -> str:
    """Return the room's title, or its id until it is known."""
    return title_of(call)


def status_words(call: CallState, now: float) -> str:
    """Return where the call and its room are: `live for 3 min · 2 speaking · 14 people`. `now` is wall-clock."""
    match call.phase:
        case CallPhase.JOINING:
            return "joining…"
        case CallPhase.RECONNECTING:
            return f"reconnecting, attempt {call.reconnect_attempt}"
        case CallPhase.LEFT:
            return f"left: {call.left_reason}" if call.left_reason else "left"
        case CallPhase.IDLE:
            return "not joined"
    room = call.room
    if room is None:
        return "joined"
    if room.ended_at is not None:
        return "ended"
    live = "backstage" if not room.live else "live"
    live_seconds = 0.0 if not room.live or room.live_since is None else now - room.live_since
    since = f" for {duration(live_seconds)}" if live_seconds >= 1.0 else ""
    people = max(room.counts.participants, len(room.participants))
    speaking = f" · {len(call.speaking)} speaking" if call.speaking else ""
    return f"{live}{since}{speaking} · {count(people, 'person', 'people')}{_sound(call)}"


def left_words(call: CallState, log: Sequence[LogLine] = ()) -> tuple[str, str]:
    """Return why a call is over for us, with the tone to say it in: info, good, warning, bad.

    Notes in `log`, which are shown among the call's notices too, are not taken for the reason.
    """
    title = title_words(call)
    if not call.left_reason:
        return f"you left {title}", "info"
    notes = {line.text for line in log[-40:] if line.note}
    told = next((notice for notice in reversed(call.notices) if notice.text not in notes), None)
    if told is None:
        return f"{title}: {call.left_reason}", "warning"
    return f"{title}: {told.text}", told.tone


def microphone_words(call: CallState) -> str:
    """Return the state of my microphone with its reason: `microphone open`, `microphone closed: muted by Hana`."""
    microphone = call.microphone
    if microphone.open:
        return "microphone open"
    if call.hand_position is not None:
        return f"hand up, place {call.hand_position}"
    if call.invited:
        return "invited to the stage"
    return f"microphone closed: {microphone.reason}"


def path_words(call: CallState) -> str:
    """Return which way sound goes, and why: `through the server: no direct way to Bo was found`; empty while it does not."""
    because = f": {call.path.reason}" if call.path.reason else ""
    match call.path.way:
        case Way.DIRECT:
            return "straight to the other person"
        case Way.RELAYED:
            return "to the other person through a relay"
        case Way.FORWARDED:
            return f"through the server{because}"
        case _:
            return call.path.reason


def statistics_line(call: CallState) -> str:
    """Return the numbers of the last two seconds in a line of at most 79 columns; empty until there are some.

    Jitter, buffer and round trip time (rtt) are in milliseconds.
    """
    numbers = call.statistics
    if numbers is None:
        return ""
    parts = [
        f"↓{numbers.received_kbps:.0f} ↑{numbers.sent_kbps:.0f} kb/s",
        f"lost {_percent(numbers.packets_lost, numbers.packets_lost + numbers.packets_received)}",
        f"concealed {_percent(numbers.frames_concealed, numbers.frames_played)}",
    ]
    times = {"jitter": numbers.jitter_ms, "buffer": numbers.buffer_ms, "rtt": numbers.rtt_ms}
    known = {name: f"{ms:.0f}" for name, ms in times.items() if ms is not None}
    parts.append(f"{'/'.join(known)} {'/'.join(known.values())} ms")
    return " · ".join(parts)


def _sound(call: CallState) -> str:
    match call.media:
        case MediaPhase.CONNECTING:
            return " · sound connecting"
        case MediaPhase.LOST:
            return " · sound lost, connecting again"
        case MediaPhase.NONE:
            return f" · {call.path.reason or 'without sound'}"
        case _ if call.path.way in STRAIGHT or call.path.reason:
            return f" · {_PLACES[call.path.way]}"
        case _:
            return ""


_PLACES = {
    Way.NONE: "sound connecting",
    Way.DIRECT: "sound direct",
    Way.RELAYED: "sound through a relay",
    Way.FORWARDED: "sound through the server",
}


def _percent(part: int, whole: int) -> str:
    share = part / whole if whole else 0.0
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"
