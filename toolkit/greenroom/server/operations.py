"""What was asked before: a request that is sent again, on whatever connection, has one effect. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from greenroom.protocol.ids import OpId, UserId
from greenroom.protocol.refusals import Reason, Refusal

REMEMBERED_SECONDS = 600.0
MAX_REMEMBERED = 200_000
MAX_OP_CHARACTERS = 100
_PASSING = (Reason.UNAVAILABLE, Reason.RATE_LIMITED)


class Operations:
    """Outcomes by person and operation, for ten minutes. `now` is monotonic seconds."""

    def __init__(self, done: Iterable[tuple[UserId, OpId]] = (), now: float = 0.0) -> None:
        self._outcomes: OrderedDict[tuple[UserId, OpId], tuple[float, Refusal | None]] = OrderedDict(
            ((user, op), (now, None)) for user, op in done
        )

    def known(self, user: UserId, op: OpId, now: float) -> tuple[Refusal | None] | None:
        """Return the outcome in a tuple (None in it: done), or None for an operation that is new."""
        outcome = self._outcomes.get((user, op))
        return None if outcome is None or now - outcome[0] > REMEMBERED_SECONDS else (outcome[1],)

    def remember(self, user: UserId, op: OpId, refusal: Refusal | None, now: float) -> None:
        """Keep the outcome, unless it is one that should be tried again."""
        if refusal is not None and refusal.reason in _PASSING:
            return
        self._outcomes[user, op] = (now, refusal)
        self._outcomes.move_to_end((user, op))
        while self._outcomes:
            oldest = next(iter(self._outcomes))
            if (
                len(self._outcomes) <= MAX_REMEMBERED
                and now - self._outcomes[oldest][0] <= REMEMBERED_SECONDS
            ):
                break
            del self._outcomes[oldest]
