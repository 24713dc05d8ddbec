"""What a bad network does to each datagram, decided by a seeded chance; without sockets and without a clock."""

from __future__ import annotations

import random

import msgspec


class Weather(msgspec.Struct, frozen=True):
    """What happens to datagrams on their way: shares of 0.0 to 1.0, delays in seconds.

    Loss comes in runs of `burst` datagrams on average (Gilbert–Elliott); 1.0 is loss by independent chance, and a
    `loss` of 1.0 is a blackout. `jitter_seconds` is the most that is added to the delay of each, which reorders them;
    `reorder` is the share that is held back by `reorder_seconds` more. `rate_bits` a second pass, 0 is no limit; what
    would wait longer than `queue_seconds` for that is lost. Loss begins `after` so many datagrams of that direction,
    so that a handshake can be kept out of it. Raises `ValueError` for what cannot be.
    """

    loss: float = 0.0
    repeat: float = 0.0
    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    after: int = 0
    burst: float = 1.0
    reorder: float = 0.0
    reorder_seconds: float = 0.03
    rate_bits: float = 0.0
    queue_seconds: float = 0.2

    def __post_init__(self) -> None:
        for name in ("loss", "repeat", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share of 0.0 to 1.0, not {getattr(self, name)}")
        for name in ("delay_seconds", "jitter_seconds", "reorder_seconds", "rate_bits", "queue_seconds"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if not 1.0 <= self.burst <= 1000.0:
            raise ValueError(f"burst is 1 to 1000 datagrams, not {self.burst}")


CLEAR = Weather()


class Way:
    """One direction. `passed` counts what came, `lost` what went no further; the same seed decides the same way.

    `lose_next` is how many more are lost, whatever the weather.
    """

    def __init__(self, weather: Weather, seed: str) -> None:
        self.weather = weather
        self.passed = 0
        self.lost = 0
        self.lose_next = 0
        self._chance = random.Random(seed)
        self._in_burst = False
        self._busy_until = 0.0

    def plan(self, size: int, now: float) -> tuple[float, ...]:
        """Return after how many seconds a datagram of `size` bytes arrives: never, once, or twice.

        `now` is in seconds of any clock that does not go back.
        """
        self.passed += 1
        weather, chance = self.weather, self._chance
        lose, again, late, back = chance.random(), chance.random(), chance.random(), chance.random()
        if self.lose_next:
            self.lose_next -= 1
            self.lost += 1
            return ()
        if self.passed > weather.after and self._loses(lose):
            self.lost += 1
            return ()
        waited = 0.0
        if weather.rate_bits:
            begins = max(now, self._busy_until)
            if begins - now > weather.queue_seconds:
                self.lost += 1
                return ()
            self._busy_until = begins + size * 8 / weather.rate_bits
            waited = self._busy_until - now
        delay = waited + weather.delay_seconds + late * weather.jitter_seconds
        if back < weather.reorder:
            delay += weather.reorder_seconds
        return (delay, delay) if again < weather.repeat else (delay,)

    def _loses(self, drawn: float) -> bool:
        weather = self.weather
        if weather.burst <= 1.0 or not 0.0 < weather.loss < 1.0:
            self._in_burst = drawn < weather.loss
        elif self._in_burst:
            self._in_burst = drawn >= 1.0 / weather.burst
        else:
            self._in_burst = drawn < weather.loss / (weather.burst * (1.0 - weather.loss))
        return self._in_burst
