"""Several calls, one microphone and one loudspeaker: what becomes of each call's sound when something happens. Pure.

Every reducer takes a `Focus` and returns the next one; what does not apply (an unknown call, what is so already) returns
the same. `plan` says what each call is given. Times are wall-clock seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from greenroom.errors import Malformed
from greenroom.protocol.ids import Cid
from greenroom.state.focus import (
    SILENT_DB,
    Cause,
    Focus,
    MultiCallPolicy,
    Share,
    Standing,
    Suspension,
)

DUCKED_DB = -12.0
FADE_SECONDS = 0.02
DUCK_SECONDS = 0.08
UNDUCK_SECONDS = 0.4
WIDTH = 0.7  # how far out calls are placed: at the very edge a voice is unpleasant on headphones

_EXCLUSIVE = (MultiCallPolicy.SUSPEND_EXISTING, MultiCallPolicy.SUSPEND_INCOMING)
_GIVES_BACK = (MultiCallPolicy.SUSPEND_EXISTING, MultiCallPolicy.DUCK, MultiCallPolicy.PAN)
_MIXES = (MultiCallPolicy.DUCK, MultiCallPolicy.PAN)


class AudioPlan(msgspec.Struct, frozen=True):
    """What every call is given. `holder` is the call with the microphone, the only one; None: nobody speaks anywhere."""

    shares: Mapping[Cid, Share] = {}
    holder: Cid | None = None


def policy_named(name: str) -> MultiCallPolicy:
    """Return the policy of this name, e.g. "duck". Raises `Malformed` and names those there are."""
    try:
        return MultiCallPolicy(name)
    except ValueError:
        known = ", ".join(MultiCallPolicy)
        raise Malformed(f"there is no multi-call policy '{str(name)[:40]}'; there are {known}") from None


def rule(focus: Focus) -> MultiCallPolicy:
    """Return what acts: the policy, or in single mode that the newest call has everything."""
    return focus.policy if focus.several else MultiCallPolicy.SUSPEND_EXISTING


# ---- what happens


def begun(focus: Focus, cid: Cid, now: float) -> Focus:
    """A join of `cid` begins: it is active from here on, before any answer."""
    if cid in focus.standings:
        return focus
    acts = rule(focus)
    others = focus.active
    suspension = None
    if acts is MultiCallPolicy.SUSPEND_INCOMING and others:
        suspension = Suspension(Cause.INCOMING, now, focus.focused or others[-1], acts)
    focus = replace(focus, standings={**focus.standings, cid: Standing(cid, suspension=suspension)})
    if suspension is not None or (acts is MultiCallPolicy.MANUAL and focus.focused is not None):
        return focus
    return _give(focus, cid, now)


def joined(focus: Focus, cid: Cid) -> Focus:
    """The room has let us in."""
    standing = focus.standings.get(cid)
    if standing is None or standing.joined:
        return focus
    return replace(focus, standings={**focus.standings, cid: replace(standing, joined=True)})


def gone(focus: Focus, cid: Cid, now: float) -> Focus:
    """`cid` was left, or could not be joined. The call focused before it gets the sound back, unless `manual` or
    `suspend_incoming` act, another call has it, or the person had put that call aside themselves."""
    if cid not in focus.standings:
        return focus
    was_latest = focus.history[-1:] == (cid,)
    held = focus.focused is not None and focus.focused != cid
    focus = replace(
        focus,
        standings={other: standing for other, standing in focus.standings.items() if other != cid},
        history=tuple(other for other in focus.history if other != cid),
        focused=focus.focused if held else None,
        since=now if focus.focused == cid else focus.since,
    )
    heir = None if held or not was_latest or rule(focus) not in _GIVES_BACK else _heir(focus)
    return focus if heir is None else _give(focus, heir, now)


def suspended(focus: Focus, cid: Cid, now: float) -> Focus:
    """The person suspends `cid`; nobody else gets the microphone for that."""
    standing = focus.standings.get(cid)
    if standing is None or standing.suspension is not None:
        return focus
    had_focus = focus.focused == cid
    return replace(
        _suspend(focus, cid, Suspension(Cause.PERSON, now)),
        focused=None if had_focus else focus.focused,
        since=now if had_focus else focus.since,
    )


def resumed(focus: Focus, cid: Cid, now: float) -> Focus:
    """The person resumes `cid`: it gets the microphone. Where calls are mixed it gets it only if nobody has it."""
    standing = focus.standings.get(cid)
    if standing is None or focus.focused == cid:
        return focus
    if rule(focus) in _MIXES and focus.focused is not None:
        return focus if standing.suspension is None else _suspend(focus, cid, None)
    return _give(_handed_over(focus, cid, now), cid, now)


def switched(focus: Focus, cid: Cid, now: float) -> Focus:
    """The person moves to `cid`: it gets the microphone, and whoever had it gives it up in the same step."""
    if cid not in focus.standings or focus.focused == cid:
        return focus
    before = focus.focused
    if rule(focus) is MultiCallPolicy.MANUAL and before is not None:
        focus = _suspend(focus, before, Suspension(Cause.OTHER, now, cid, rule(focus)))
    return _give(_handed_over(focus, cid, now), cid, now)


def with_policy(focus: Focus, policy: MultiCallPolicy, now: float) -> Focus:
    """The person chooses another policy. `manual` leaves everything as it is; those that suspend leave one call heard;
    those that mix bring back what no person had suspended."""
    if policy is focus.policy:
        return focus
    focus = replace(focus, policy=policy)
    acts = rule(focus)
    if not focus.several or acts is MultiCallPolicy.MANUAL:
        return focus
    if acts in _EXCLUSIVE:
        heard = [cid for cid, standing in focus.standings.items() if standing.suspension is None]
        recent = [cid for cid in focus.history if cid in heard] or heard
        chosen = focus.focused or (recent[-1] if recent else None)
        return focus if chosen is None else _give(focus, chosen, now)
    for cid, standing in focus.standings.items():
        if standing.suspension is not None and standing.suspension.cause is not Cause.PERSON:
            focus = _suspend(focus, cid, None)
    heir = _heir(focus) if focus.focused is None else None
    return focus if heir is None else _give(focus, heir, now)


def rolled_back(focus: Focus, before: Focus) -> Focus:
    """Return to `before`, as far as its calls are still here and no call that came since has the focus."""
    if focus.focused is not None and focus.focused not in before.standings:
        return focus
    standings = {
        cid: replace(standing, suspension=before.standings[cid].suspension)
        if cid in before.standings
        else standing
        for cid, standing in focus.standings.items()
    }
    return replace(
        focus,
        standings=standings,
        history=tuple(cid for cid in before.history if cid in standings),
        focused=before.focused if before.focused in standings else None,
        since=before.since,
    )


# ---- what follows


def plan(focus: Focus) -> AudioPlan:
    """Return what each call is given: at most one has the microphone."""
    acts = rule(focus)
    places = _places(len(focus.standings)) if acts is MultiCallPolicy.PAN else ()
    shown = focus.policy if focus.several else None
    shares: dict[Cid, Share] = {}
    for index, (cid, standing) in enumerate(focus.standings.items()):
        pan = places[index] if places else 0.0
        why = standing.suspension
        if why is not None:
            shares[cid] = Share(True, False, SILENT_DB, pan, _suspension_words(why), why.since, shown)
        elif cid == focus.focused:
            shares[cid] = Share(pan=pan, since=focus.since, policy=shown)
        else:
            gain_db = DUCKED_DB if acts is MultiCallPolicy.DUCK else 0.0
            shares[cid] = Share(False, False, gain_db, pan, _elsewhere_words(focus), focus.since, shown)
    return AudioPlan(shares, focus.focused)


def fade_seconds(before: Share, after: Share) -> float:
    """Return how long the change of what is heard takes: 20 ms, and for a ducked call 80 ms down, 400 ms up."""
    if before.suspended or after.suspended:
        return FADE_SECONDS
    if after.gain_db < before.gain_db:
        return DUCK_SECONDS
    return UNDUCK_SECONDS if after.gain_db > before.gain_db else FADE_SECONDS


# ---- how


def _give(focus: Focus, cid: Cid, now: float) -> Focus:
    """Give `cid` the focus; where one call is heard at a time, the others are suspended for it."""
    acts = rule(focus)
    focus = _suspend(focus, cid, None)
    if acts in _EXCLUSIVE:
        for other, standing in focus.standings.items():
            if other != cid and standing.suspension is None:
                focus = _suspend(focus, other, Suspension(Cause.OTHER, now, cid, acts))
    return replace(
        focus,
        focused=cid,
        since=focus.since if focus.focused == cid else now,
        history=(*(other for other in focus.history if other != cid), cid),
    )


def _suspend(focus: Focus, cid: Cid, suspension: Suspension | None) -> Focus:
    standing = replace(focus.standings[cid], suspension=suspension)
    return replace(focus, standings={**focus.standings, cid: standing})


def _handed_over(focus: Focus, to: Cid, now: float) -> Focus:
    """Who suspends one call and then takes another has moved from the one to the other, and comes back to it later."""
    latest = focus.history[-1] if focus.history else None
    if rule(focus) not in _EXCLUSIVE or focus.focused is not None or latest is None or latest == to:
        return focus
    suspension = focus.standings[latest].suspension
    if suspension is None or suspension.cause is not Cause.PERSON:
        return focus
    return _suspend(focus, latest, Suspension(Cause.OTHER, suspension.since, to, rule(focus)))


def _heir(focus: Focus) -> Cid | None:
    """Return the call to come back to: the one focused last, or the newest; None where the person has put it aside."""
    candidates = focus.history or focus.active
    if not candidates:
        return None
    suspension = focus.standings[candidates[-1]].suspension
    return None if suspension is not None and suspension.cause is Cause.PERSON else candidates[-1]


def _places(calls: int) -> tuple[float, ...]:
    if calls < 2:
        return (0.0,) * calls
    return tuple(round(-WIDTH + 2 * WIDTH * place / (calls - 1), 3) for place in range(calls))


def _suspension_words(suspension: Suspension) -> str:
    match suspension.cause:
        case Cause.PERSON:
            return "suspended by you"
        case Cause.OTHER:
            return f"suspended: call {suspension.by} became active{_under(suspension)}"
        case Cause.INCOMING:
            return f"suspended: it came while call {suspension.by} was active{_under(suspension)}"


def _under(suspension: Suspension) -> str:
    return "" if suspension.policy is None else f" ({suspension.policy})"


def _elsewhere_words(focus: Focus) -> str:
    if focus.focused is None:
        return f"no call has the microphone; choose one ({rule(focus)})"
    return f"call {focus.focused} has the microphone ({rule(focus)})"
