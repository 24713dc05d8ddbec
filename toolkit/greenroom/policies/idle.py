"""When a session that nobody uses asks, and ends. Pure.

One model for three habits: asked after a while without activity, asked after a while alone, or ended without being
asked. `off → armed → prompting → expired`; activity, company or "stay" goes back to armed.
"""

from __future__ import annotations

import msgspec

from greenroom.state.call_settings import IdleTimeout, IdleWhen
from greenroom.state.idle import Idle, IdlePhase


class IdleFacts(msgspec.Struct, frozen=True):
    """What is so now. `here`: in the room, reachable. `alone`: with nobody else. `active`: somebody speaks, came in, or
    I did something since the last look."""

    here: bool
    alone: bool
    active: bool


OFF = Idle()
ARMED = Idle(IdlePhase.ARMED)


def next_idle(before: Idle, timeout: IdleTimeout, facts: IdleFacts, now: float) -> Idle:
    """Return the state at `now` (seconds of one clock); the same object when nothing changed. Expired is final.

    Nobody is sent out unasked, however seldom this is called.
    """
    if before.phase is IdlePhase.EXPIRED:
        return before
    if not timeout.on or not facts.here:
        return _kept(before, OFF)
    unused = facts.alone if timeout.when is IdleWhen.ALONE else not facts.active
    if not unused:
        return _kept(before, ARMED)
    since = now if before.since is None else before.since
    prompt_at = since + timeout.before_prompt_seconds
    ends_at = prompt_at + timeout.after_prompt_seconds
    phase = IdlePhase.ARMED
    if before.phase is IdlePhase.PROMPTING and before.ends_at is not None:
        ends_at = before.ends_at
        phase = IdlePhase.EXPIRED if now >= ends_at else IdlePhase.PROMPTING
    elif now >= prompt_at:
        phase = IdlePhase.PROMPTING if timeout.after_prompt_seconds else IdlePhase.EXPIRED
        if now >= ends_at:  # nobody looked for long, e.g. a laptop slept: the person is asked all the same
            ends_at = now + timeout.after_prompt_seconds
    return _kept(before, Idle(phase, since, prompt_at, ends_at))


def stay(before: Idle) -> Idle:
    """Return the state after somebody said that they are still here: counting begins anew. Expired is final."""
    if before.phase in (IdlePhase.ARMED, IdlePhase.PROMPTING):
        return _kept(before, ARMED)
    return before


def _kept(before: Idle, after: Idle) -> Idle:
    return before if after == before else after
