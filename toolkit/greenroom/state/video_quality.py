"""Named qualities of sound and picture, as numbers."""

from __future__ import annotations

import msgspec

from greenroom.errors import Malformed


class CallQuality(msgspec.Struct, frozen=True):
    """Picture in pixels and pictures a second; bitrates in kb/s."""

    width: int
    height: int
    frames_per_second: int
    video_kbps: int
    audio_kbps: int


POOR = CallQuality(640, 480, 15, 500, 32)
MEDIUM = CallQuality(1280, 720, 30, 1_000, 64)
GOOD = CallQuality(1920, 1080, 30, 2_000, 128)
QUALITIES = {"poor": POOR, "medium": MEDIUM, "good": GOOD}


def quality_named(name: str) -> CallQuality:
    """Return the quality of this name. Raises `Malformed` and names those there are."""
    if name not in QUALITIES:
        raise Malformed(f"there is no quality '{str(name)[:40]}'; there are {', '.join(QUALITIES)}")
    return QUALITIES[name]
