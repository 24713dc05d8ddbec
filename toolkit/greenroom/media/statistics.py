"""What a media connection measured, as values; `engine.statistics` gives them the names of W3C."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.media.dsp import SILENCE_DBFS
from greenroom.state.statistics import Coding

_LARGEST = ("jitter_ms", "buffer_ms", "target_ms", "level_dbfs")
_NOT_ADDED = (*_LARGEST, "coding")


class SentStatistics(msgspec.Struct, frozen=True):
    """Our own voice on its way out; what is `lost`, `lost_percent` and `jitter_ms` the other side reported, in `reports`.

    `rtt_ms` is the round trip by those reports, `path_rtt_ms` by the checks of the path (RFC 7675), which are made while
    we are silent too; `path_checks` were answered. Both are None before the first.
    """

    packets: int = 0
    bytes: int = 0
    lost: int = 0
    lost_percent: float = 0.0
    jitter_ms: float = 0.0
    reports: int = 0
    rtt_ms: float | None = None
    path_rtt_ms: float | None = None
    path_checks: int = 0
    level_dbfs: float = SILENCE_DBFS
    open: bool = False
    ssrc: int | None = None
    coding: Coding | None = None


class ReceivedStatistics(msgspec.Struct, frozen=True):
    """What arrived and what was made of it, of all slots together or of one person.

    `lost` packets were replaced: by their copy (`recovered_red`), from the next packet (`recovered_fec`) or
    by sound that continues what was heard (`concealed`). `late` ones came after that. `frames` (of 20 ms) were played,
    so `concealed / frames` is the concealed ratio; the same in samples of 48 kHz is more exact. `with_copies` packets
    carried something of an earlier one. `waited_seconds` sums how long each of `emitted_samples` waited to be played;
    `energy` sums full-scale squares over seconds. `jitter_ms`, `buffer_ms` and `target_ms` are the largest of the slots.
    """

    packets: int = 0
    bytes: int = 0
    frames: int = 0
    lost: int = 0
    concealed: int = 0
    late: int = 0
    recovered_fec: int = 0
    recovered_red: int = 0
    with_copies: int = 0
    played_samples: int = 0
    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    concealment_events: int = 0
    inserted_samples: int = 0
    removed_samples: int = 0
    emitted_samples: int = 0
    waited_seconds: float = 0.0
    energy: float = 0.0
    jitter_ms: float = 0.0
    buffer_ms: float = 0.0
    target_ms: float = 0.0
    level_dbfs: float = SILENCE_DBFS
    coding: Coding | None = None

    @property
    def concealed_ratio(self) -> float:
        """The share of played frames that were made up, 0.0 to 1.0; 0.0 when nothing was played."""
        return self.concealed / self.frames if self.frames else 0.0

    def plus(self, other: ReceivedStatistics) -> ReceivedStatistics:
        """Return both together: counts added, of times and levels the largest, the coding that is known."""
        values = {name: getattr(self, name) + getattr(other, name) for name in _ADDED}
        largest = {name: max(getattr(self, name), getattr(other, name)) for name in _LARGEST}
        return ReceivedStatistics(**values, **largest, coding=other.coding or self.coding)


_ADDED = tuple(name for name in ReceivedStatistics.__struct_fields__ if name not in _NOT_ADDED)


class MediaStatistics(msgspec.Struct, frozen=True):
    """Both directions; `people` by speaker number, as far as they were heard."""

    sent: SentStatistics = SentStatistics()
    received: ReceivedStatistics = ReceivedStatistics()
    people: Mapping[int, ReceivedStatistics] = {}
