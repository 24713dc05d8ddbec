"""The last ten minutes of a call's statistics as arrays, for charts and notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from greenroom.state.call import CallStatistics

COLUMNS = tuple(name for name in CallStatistics.__struct_fields__ if name != "by_person")


def as_arrays(samples: Sequence[CallStatistics]) -> Mapping[str, NDArray[np.float64]]:
    """Return one float64 array for each number of `CallStatistics`, oldest first, all as long as `samples`.

    What was not known is NaN. `at` is in wall-clock seconds.
    """
    return {
        name: np.array(
            [np.nan if (value := getattr(sample, name)) is None else value for sample in samples], np.float64
        )
        for name in COLUMNS
    }
