"""The calls of one person in rows and words: where each stands, who has microphone and loudspeaker, and why."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.policies.multicall import plan, rule
from greenroom.protocol.ids import Cid
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.engine import ClientState
from greenroom.state.focus import Cause, Focus, MultiCallPolicy, Share, Suspension
from greenroom.views.words import enumerate_names

_PHASES = {
    CallPhase.IDLE: "not joined",
    CallPhase.JOINING: "joining",
    CallPhase.JOINED: "in the call",
    CallPhase.RECONNECTING: "reconnecting",
    CallPhase.LEFT: "left",
}
_POLICIES = {
    MultiCallPolicy.SUSPEND_EXISTING: "a call that becomes active suspends the others",
    MultiCallPolicy.SUSPEND_INCOMING: "a call that comes while another is active starts suspended",
    MultiCallPolicy.MANUAL: "nothing changes hands by itself",
    MultiCallPolicy.DUCK: "all are heard, the others softer; one has the microphone",
    MultiCallPolicy.PAN: "all are heard, from left to right; one has the microphone",
}


class CallRow(msgspec.Struct, frozen=True):
    """One call of the strip. `status`: joining, in the call, reconnecting, left. `microphone`: open, closed or elsewhere.
    `heard`: full, softer, silent. `place`: where it is heard, empty in the middle. `why` names what is missing, if
    anything is. `focused`: it alone may have the microphone. `talking` is how many speak there now.
    `because` is `why` in few words, with the titles of calls; beside a closed microphone the reason alone."""

    cid: Cid
    title: str
    status: str
    focused: bool
    suspended: bool
    microphone: str
    heard: str
    place: str
    why: str
    talking: int
    people: int
    because: str = ""


def call_rows(client: ClientState) -> tuple[CallRow, ...]:
    """Return a row for every call that is not over, in order of joining."""
    return tuple(_row(client, call) for call in client.calls.values() if call.phase is not CallPhase.LEFT)


def policy_words(focus: Focus) -> str:
    """Return what happens when one is in several calls, in words."""
    return _POLICIES[rule(focus)] if focus.several else "one call at a time: a new one ends the one before"


def rule_words(policy: MultiCallPolicy) -> str:
    """Return a policy's name as people say it: `suspend existing`."""
    return policy.value.replace("_", " ")


def policy_choices(focus: Focus) -> tuple[tuple[MultiCallPolicy, str], ...]:
    """Return every policy with what it does, in words; the one in force says so."""
    return tuple(
        (policy, f"{rule_words(policy)}{' (now)' if policy is rule(focus) else ''}: {words}")
        for policy, words in _POLICIES.items()
    )


def holder_words(client: ClientState) -> str:
    """Return who has the microphone and who is heard, in one line."""
    holder = client.focus.focused
    rows = call_rows(client)
    if not rows:
        return "in no call"
    heard = [row.title for row in rows if row.heard != "silent"]
    listening = f"you hear {', '.join(heard)}" if heard else "you hear nothing"
    call = None if holder is None else client.calls.get(holder)
    if call is None:
        return f"no call has the microphone; {listening}"
    state = "open in" if call.microphone.open else "closed, with"
    return f"microphone {state} {title_of(call)}; {listening}"


def share_words(share: Share) -> str:
    """Return what a call is given, in a word or two."""
    if share.suspended:
        return "suspended"
    if share.gain_db < 0.0:
        return f"heard {-share.gain_db:g} dB softer"
    return "microphone and loudspeaker" if share.microphone else "heard"


def focus_words(
    before: Focus, after: Focus, calls: Mapping[Cid, CallState]
) -> tuple[tuple[Cid | None, str], ...]:
    """Return what to log about a change of the hand-off: lines, each with the call it is about."""
    lines: list[tuple[Cid | None, str]] = []
    if before.policy is not after.policy and after.several:
        lines.append((None, f"several calls: {policy_words(after)} ({after.policy})"))
    old, new = plan(before), plan(after)
    for cid, share in new.shares.items():
        was = old.shares.get(cid)
        if was is not None and (was.suspended, was.microphone) == (share.suspended, share.microphone):
            continue
        if was is None and share.microphone and len(new.shares) == 1:
            continue  # the only call has everything: nothing to tell
        suspension = after.standings[cid].suspension
        why = share.why if suspension is None else _suspended(suspension, calls)
        lines.append((cid, why or "this call has the microphone now"))
    return tuple(lines)


def title_of(call: CallState) -> str:
    """Return the room's title, or its id where it has none; of a room made for one call, whom the call is with."""
    room, name = call.room, call.cid.partition(":")[2]
    if room is None:
        return call.cid
    if room.title and room.title != name:
        return room.title
    others = [member.name for user, member in room.members.items() if user != call.me]
    if name.startswith("call-") and others:
        return f"call with {enumerate_names(others)}"
    return room.title or call.cid


def place_words(pan: float) -> str:
    """Return where in the stereo field something is: `left 70%`, `right 35%`; empty in the middle."""
    percent = round(abs(pan) * 100)
    return "" if percent == 0 else f"{'left' if pan < 0 else 'right'} {percent}%"


def _row(client: ClientState, call: CallState) -> CallRow:
    focus = client.focus
    hearing, microphone = call.hearing, call.microphone
    status = _PHASES[call.phase]
    if call.phase is CallPhase.JOINED and call.media is not MediaPhase.CONNECTED:
        status = "connecting sound" if call.media is not MediaPhase.LOST else "sound lost"
    return CallRow(
        cid=call.cid,
        title=title_of(call),
        status=status,
        focused=focus.focused == call.cid,
        suspended=call.share.suspended,
        microphone="open" if microphone.open else ("closed" if call.share.microphone else "elsewhere"),
        heard="silent" if not hearing.open else ("softer" if hearing.gain_db < 0.0 else "full"),
        place=place_words(call.share.pan) if hearing.open else "",
        why=_why(call),
        talking=len(call.speaking),
        people=0 if call.room is None else max(call.room.counts.participants, len(call.room.participants)),
        because=_because(client, call),
    )


def _why(call: CallState) -> str:
    """Return the first thing that keeps something back: of hearing before the microphone."""
    if call.share.why:
        return call.share.why
    if not call.hearing.open:
        return call.hearing.reason
    return "" if call.microphone.open else f"microphone {call.microphone.reason}"


def _because(client: ClientState, call: CallState) -> str:
    """Return what `_why` does in few words, with titles."""
    standing = client.focus.standings.get(call.cid)
    suspension = None if standing is None else standing.suspension
    if suspension is not None:
        return _suspended(suspension, client.calls)
    if not call.hearing.open:
        return call.hearing.reason
    holder = None if client.focus.focused is None else client.calls.get(client.focus.focused)
    if not call.share.microphone:
        return "no call has the microphone" if holder is None else f"{title_of(holder)} has the mic"
    return "" if call.microphone.open else call.microphone.reason


def _suspended(suspension: Suspension, calls: Mapping[Cid, CallState]) -> str:
    other = None if suspension.by is None else calls.get(suspension.by)
    title = suspension.by or "another call" if other is None else title_of(other)
    match suspension.cause:
        case Cause.PERSON:
            return "suspended by you"
        case Cause.OTHER:
            return f"suspended: {title} took over"
        case Cause.INCOMING:
            return f"suspended: it came during {title}"
