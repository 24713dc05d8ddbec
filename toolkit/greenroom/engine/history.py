"""The last ten minutes of a call's statistics as arrays, for charts and notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from greenroom.protocol.ids import UserId
from greenroom.state.statistics import CallStatistics, PersonStatistics

COLUMNS = tuple(
    name for name in CallStatistics.__struct_fields__ if name not in ("by_person", "coding", "reports")
)
PERSON_COLUMNS = (
    "packets",
    "lost",
    "concealed",
    *(name for name in PersonStatistics.__struct_fields__ if name not in ("inbound", "coding")),
)


def as_arrays(samples: Sequence[CallStatistics]) -> Mapping[str, NDArray[np.float64]]:
    """Return one float64 array of shape (len(samples),) for each number of `CallStatistics`, oldest first.

    Units are in the names: `…_kbps` kilobits a second, `…_ms` milliseconds, `…_dbfs` decibels to full scale,
    `…_fraction` 0.0 to 1.0; the rest are counts, and `at` is wall-clock seconds. What was not known is NaN.
    """
    return {name: _array([getattr(sample, name) for sample in samples]) for name in COLUMNS}


def person_arrays(samples: Sequence[CallStatistics], user: UserId) -> Mapping[str, NDArray[np.float64]]:
    """Return the numbers of one person in the same way, with `at`; NaN where they had not been heard for a minute."""
    people = [sample.by_person.get(user) for sample in samples]
    numbers = {
        name: _array([None if person is None else getattr(person, name) for person in people])
        for name in PERSON_COLUMNS
    }
    return {"at": _array([sample.at for sample in samples]), **numbers}


def _array(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
