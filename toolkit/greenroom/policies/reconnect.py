"""When to try again after a connection was lost."""

from __future__ import annotations

DELAYS_SECONDS = (0.0, 0.3, 1.2, 2.7, 4.8, 7.0)
JITTER_SECONDS = 1.0


def next_attempt(attempt: int, jitter: float) -> float:
    """Return the seconds to wait before attempt number `attempt` (0 is the first).

    `jitter` is a random number from 0.0 to 1.0 that spreads a crowd over up to a second; the first attempt is at once.
    """
    delay = DELAYS_SECONDS[min(max(attempt, 0), len(DELAYS_SECONDS) - 1)]
    return delay + min(delay, JITTER_SECONDS) * min(max(jitter, 0.0), 1.0)
