"""When somebody counts as speaking, and when to tell them that their microphone is closed. Pure."""

from __future__ import annotations

from msgspec import Struct

SPEAKING_AFTER_SECONDS = 0.06
SILENT_AFTER_SECONDS = 0.4
LOUD_DBFS = -50.0  # softer voices are those of other rooms
_ROUNDING_SECONDS = 1e-6
_LOUD_SECONDS = 1.0
_FORGET_SECONDS = 0.5
_AGAIN_AFTER_SECONDS = 30.0


class VoiceTrack(Struct, frozen=True):
    """One voice: whether it speaks, and for how long without a break there was voice, or none at all."""

    speaking: bool = False
    voiced_seconds: float = 0.0
    silent_seconds: float = SILENT_AFTER_SECONDS


def next_voice(before: VoiceTrack, voiced: bool, seconds: float) -> VoiceTrack:
    """Return the track after `seconds` more, in which a detector heard voice or not.

    A cough of a detector does not make a speaker, and a pause between words does not end one.
    """
    voiced_seconds = before.voiced_seconds + seconds if voiced else 0.0
    silent_seconds = 0.0 if voiced else before.silent_seconds + seconds
    if voiced_seconds >= SPEAKING_AFTER_SECONDS - _ROUNDING_SECONDS:
        speaking = True
    else:
        speaking = before.speaking and silent_seconds < SILENT_AFTER_SECONDS - _ROUNDING_SECONDS
    return VoiceTrack(speaking, voiced_seconds, silent_seconds)


class MutedSpeech(Struct, frozen=True):
    """`loud_seconds` of speech so far, at the time of the last sample; `told_at` when the person was told last."""

    loud_seconds: float = 0.0
    quiet_seconds: float = 0.0
    at: float | None = None
    told_at: float | None = None


def next_muted_speech(
    before: MutedSpeech, level_dbfs: float, closed: bool, now: float, *, voice: bool = True
) -> tuple[MutedSpeech, bool]:
    """Return the track after a sample of our own sound, and whether to tell the person now.

    `closed` is whether the microphone is closed though the person could open it, `voice` whether it is speech that is
    heard: keys and fans are as loud as they like. A second of speech is enough, short
    pauses do not count against it; they are told once in half a minute at most. `now` is in seconds.
    """
    if not closed:
        return MutedSpeech(at=now, told_at=before.told_at), False
    passed = 0.0 if before.at is None else min(max(now - before.at, 0.0), _FORGET_SECONDS)
    loud = voice and level_dbfs > LOUD_DBFS
    quiet_seconds = 0.0 if loud else before.quiet_seconds + passed
    loud_seconds = before.loud_seconds + passed if loud else before.loud_seconds
    if quiet_seconds >= _FORGET_SECONDS:
        loud_seconds = 0.0
    recently = before.told_at is not None and now - before.told_at < _AGAIN_AFTER_SECONDS
    tell = loud and loud_seconds >= _LOUD_SECONDS and not recently
    if tell:
        return MutedSpeech(at=now, told_at=now), True
    return MutedSpeech(loud_seconds, quiet_seconds, now, before.told_at), False
