"""How near a session is to ending by itself; `policies.idle` moves it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class IdlePhase(StrEnum):
    """`OFF`: it will not end by itself. `ARMED`: it may. `PROMPTING`: the person is asked. `EXPIRED`: it ended."""

    OFF = "off"
    ARMED = "armed"
    PROMPTING = "prompting"
    EXPIRED = "expired"


class Idle(msgspec.Struct, frozen=True):
    """Times are those of the clock that was given to the policy. All three are None while nothing is counted."""

    phase: IdlePhase = IdlePhase.OFF
    since: float | None = None
    prompt_at: float | None = None
    ends_at: float | None = None
