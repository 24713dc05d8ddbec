"""Somebody talks while their microphone is closed: when to tell them. Pure."""

from __future__ import annotations

from msgspec import Struct

LOUD_DBFS = -40.0
_LOUD_SECONDS = 1.0
_FORGET_SECONDS = 0.5
_AGAIN_AFTER_SECONDS = 30.0


class MutedSpeech(Struct, frozen=True):
    """`loud_seconds` of speech so far, at the time of the last sample; `told_at` when the person was told last."""

    loud_seconds: float = 0.0
    quiet_seconds: float = 0.0
    at: float | None = None
    told_at: float | None = None


def next_muted_speech(
    before: MutedSpeech, level_dbfs: float, closed: bool, now: float
) -> tuple[MutedSpeech, bool]:
    """Return the track after a sample of our own level, and whether to tell the person now.

    `closed` is whether the microphone is closed though the person could open it. A second of speech is enough, short
    pauses do not count against it; they are told once in half a minute at most. `now` is in seconds.
    """
    if not closed:
        return MutedSpeech(at=now, told_at=before.told_at), False
    passed = 0.0 if before.at is None else min(max(now - before.at, 0.0), _FORGET_SECONDS)
    loud = level_dbfs > LOUD_DBFS
    quiet_seconds = 0.0 if loud else before.quiet_seconds + passed
    loud_seconds = before.loud_seconds + passed if loud else before.loud_seconds
    if quiet_seconds >= _FORGET_SECONDS:
        loud_seconds = 0.0
    recently = before.told_at is not None and now - before.told_at < _AGAIN_AFTER_SECONDS
    tell = loud and loud_seconds >= _LOUD_SECONDS and not recently
    if tell:
        return MutedSpeech(at=now, told_at=now), True
    return MutedSpeech(loud_seconds, quiet_seconds, now, before.told_at), False
