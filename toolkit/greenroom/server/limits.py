"""How much anybody may ask in a while."""

from __future__ import annotations

from collections import Counter, OrderedDict
from ipaddress import ip_address

MESSAGES_PER_SECOND = 20.0
MESSAGES_BURST = 60.0
ROOMS_PER_PERSON = 10
JOINS_PER_SECOND = 1.0
JOINS_BURST = 2.0 * ROOMS_PER_PERSON  # into every room one may be in, and back into each after a restart
ATTACHES_PER_SECOND = 1.0
ATTACHES_BURST = 10.0
SIGNALS_PER_SECOND = 5.0
ROOM_SIGNALS_PER_SECOND = 50.0
PEER_SIGNALS_PER_SECOND = 5.0
PEER_SIGNALS_BURST = 40.0
RINGS_PER_SECOND = 0.5
RINGS_BURST = 10.0
UNAUTHENTICATED_PER_ADDRESS = 30
UNAUTHENTICATED_ON_LOOPBACK = 1_000
MAX_BUCKETS = 10_000


class TokenBucket:
    """Allows `per_second` on average and `burst` at once. `now` is monotonic seconds."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._rate = per_second
        self._burst = self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Tell whether one more is allowed at `now`, and count it if so."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Buckets:
    """A bucket for each key; the longest unused are forgotten past a bound."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._rate = per_second
        self._burst = burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """Tell whether one more of `key` is allowed at `now`, and count it if so."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now)


class Doorway:
    """Counts connections that have not said who they are, by address.

    Whoever is in is limited by who they are, since a class may sit behind one address.
    """

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Tell whether one more stranger from `address` may wait, and count it if so; then call `leave` once."""
        if self._waiting[address] >= _limit(address):
            return False
        self._waiting[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting one: it is authenticated or gone."""
        self._waiting[address] -= 1
        if self._waiting[address] <= 0:
            del self._waiting[address]


def _limit(address: str) -> int:
    try:
        return UNAUTHENTICATED_ON_LOOPBACK if ip_address(address).is_loopback else UNAUTHENTICATED_PER_ADDRESS
    except ValueError:
        return UNAUTHENTICATED_PER_ADDRESS
