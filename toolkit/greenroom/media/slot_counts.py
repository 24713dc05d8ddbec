"""What a slot noticed of each person's sound that its receive buffer cannot know: how it is coded, how loud it was."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.media.blocks import RATE_HZ
from greenroom.media.opus import OPUS_PAYLOAD_TYPE
from greenroom.media.red import RED_PAYLOAD_TYPE
from greenroom.media.toc import is_stereo, packet_samples
from greenroom.state.statistics import Coding

_MOST_PEOPLE = 256
_SILENT_DBFS = -70.0


class _Person:
    __slots__ = ("copies", "energy", "payload", "silent_concealed_samples", "with_red")

    def __init__(self) -> None:
        self.payload = b""
        self.copies = 0
        self.with_red = False
        self.energy = 0.0
        self.silent_concealed_samples = 0


class SlotCounts:
    """One slot's people by speaker number; of more than 256, the first are forgotten."""

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}

    def arrived(self, speaker: int, payload: bytes, redundant: Sequence[tuple[int, bytes]]) -> None:
        """Take a packet as it came, with the copies of earlier ones it carried."""
        person = self._person(speaker)
        person.payload = payload[:2]  # what says how it is coded
        person.copies = len(redundant)
        person.with_red = person.with_red or bool(redundant)

    def played(self, speaker: int, samples: int, level_dbfs: float, *, concealed: bool) -> None:
        """Take what was played, `level_dbfs` loud; `concealed`: made up for something that is missing."""
        person = self._person(speaker)
        person.energy += 10.0 ** (level_dbfs / 10.0) * samples / RATE_HZ
        if concealed and level_dbfs <= _SILENT_DBFS:
            person.silent_concealed_samples += samples

    def energy(self, speaker: int) -> float:
        """Return the squares of full scale summed over seconds."""
        person = self._people.get(speaker)
        return 0.0 if person is None else person.energy

    def silent_concealed_samples(self, speaker: int) -> int:
        """Return how many samples were made up and silent."""
        person = self._people.get(speaker)
        return 0 if person is None else person.silent_concealed_samples

    def coding(self, speaker: int) -> Coding | None:
        """Return how the newest packet of `speaker` was coded; None before the first."""
        person = self._people.get(speaker)
        if person is None or not person.payload:
            return None
        return Coding(
            payload_type=OPUS_PAYLOAD_TYPE,
            red_payload_type=RED_PAYLOAD_TYPE if person.with_red else None,
            frame_ms=1000.0 * packet_samples(person.payload) / RATE_HZ,
            channels=2 if is_stereo(person.payload) else 1,
            red_depth=person.copies,
        )

    def _person(self, speaker: int) -> _Person:
        person = self._people.get(speaker)
        if person is None:
            if len(self._people) >= _MOST_PEOPLE:
                del self._people[next(iter(self._people))]
            person = self._people[speaker] = _Person()
        return person
