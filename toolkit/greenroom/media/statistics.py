"""What a media connection measured, as values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.media.dsp import SILENCE_DBFS


class IceServer(msgspec.Struct, frozen=True):
    """A STUN or TURN server. `username` and `credential` are for TURN; neither is ever shown."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r})"


class SentStatistics(msgspec.Struct, frozen=True):
    """Our own voice on its way out; loss and round trip are what the other side reported."""

    packets: int = 0
    bytes: int = 0
    lost_percent: float = 0.0
    rtt_ms: float | None = None
    level_dbfs: float = SILENCE_DBFS


class ReceivedStatistics(msgspec.Struct, frozen=True):
    """What arrived and what was made of it, of all slots together or of one person.

    `lost` packets were replaced: by their copy (`recovered_red`), from the next packet (`recovered_fec`) or
    by sound that continues what was heard (`concealed`). `late` ones came after that. `frames` were played,
    so `concealed / frames` is the concealed ratio. `jitter_ms` and `buffer_ms` are the largest of the slots.
    """

    packets: int = 0
    bytes: int = 0
    frames: int = 0
    lost: int = 0
    concealed: int = 0
    late: int = 0
    recovered_fec: int = 0
    recovered_red: int = 0
    jitter_ms: float = 0.0
    buffer_ms: float = 0.0
    level_dbfs: float = SILENCE_DBFS

    @property
    def concealed_ratio(self) -> float:
        """The share of played frames that were made up, 0.0 to 1.0; 0.0 when nothing was played."""
        return self.concealed / self.frames if self.frames else 0.0


class MediaStatistics(msgspec.Struct, frozen=True):
    """Both directions; `people` by speaker number, as far as they were heard."""

    sent: SentStatistics = SentStatistics()
    received: ReceivedStatistics = ReceivedStatistics()
    people: Mapping[int, ReceivedStatistics] = {}
