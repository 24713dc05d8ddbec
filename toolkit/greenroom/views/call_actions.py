"""What a person can do about several calls, from wherever they are: one table, as `greenroom.views.actions` is for a room.

Keys are free in all three tables. Each is about one call: the chosen one, else the one with the microphone, else the first.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from greenroom.protocol.ids import Cid
from greenroom.protocol.requests import Leave
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import ClientState
from greenroom.state.focus import (
    MultiCallPolicy,
    ResumeAudio,
    SetMultiCallPolicy,
    SuspendAudio,
    SwitchFocus,
)
from greenroom.state.idle import IdlePhase
from greenroom.state.own_requests import Stay
from greenroom.views.actions import Asked
from greenroom.views.calls import rule_words, title_of

NUMBERS = "123456789"
"""The keys of the first nine calls, in order of joining."""


class CallAction(msgspec.Struct, frozen=True):
    """One row. `about(client, chosen)` is the call it is about, None where there is none; then it is not possible, but
    for `policy`, which is about all.

    `build(call, words)` makes what is asked for. The key of `focus` is the number of a call.
    """

    id: str
    key: str
    label: str
    help: str
    about: Callable[[ClientState, Cid | None], Cid | None]
    build: Callable[[CallState | None, str], Asked | None]
    confirm: bool = False


def possible(action: CallAction, client: ClientState, chosen: Cid | None) -> bool:
    """Tell whether `action` makes sense now."""
    return client.focus.several if action.id == "policy" else action.about(client, chosen) is not None


def calls_here(client: ClientState) -> tuple[CallState, ...]:
    """Return the calls that are not over, in order of joining: the first has the key 1."""
    return tuple(call for call in client.calls.values() if call.phase is not CallPhase.LEFT)


def numbered(client: ClientState, key: str) -> Cid | None:
    """Return the call whose key is `key`."""
    calls = calls_here(client)
    place = NUMBERS.find(key) if len(key) == 1 else -1
    return calls[place].cid if 0 <= place < len(calls) else None


def meant(client: ClientState, chosen: Cid | None) -> Cid | None:
    """Return the call that is meant: the chosen one, else the focused one, else the first; None in no call."""
    here = [call.cid for call in calls_here(client)]
    if chosen is not None:
        return chosen if chosen in here else None
    focused = client.focus.focused
    return focused if focused in here else next(iter(here), None)


def hold_label(client: ClientState, cid: Cid) -> str:
    """Return what holding this call would do now."""
    return "Resume" if client.calls[cid].share.suspended else "Suspend"


def call_label(action: CallAction, client: ClientState, chosen: Cid | None) -> str:
    """Return the label as it reads now, with the call's title where there are several."""
    cid = action.about(client, chosen)
    if action.id == "policy":
        return f"{action.label}: {rule_words(client.focus.policy)}"
    if cid is None:
        return action.label
    label = hold_label(client, cid) if action.id == "hold" else action.label
    return f"{label}: {title_of(client.calls[cid])}" if len(calls_here(client)) > 1 else label


def _to_focus(client: ClientState, chosen: Cid | None) -> Cid | None:
    return meant(client, chosen) if client.focus.several else None


def _prompting(client: ClientState, chosen: Cid | None) -> Cid | None:
    asked = [call.cid for call in calls_here(client) if call.idle.phase is IdlePhase.PROMPTING]
    return chosen if chosen in asked else next(iter(asked), None)


def _hold(call: CallState | None, _words: str) -> Asked:
    return ResumeAudio() if call is not None and call.share.suspended else SuspendAudio()


CALL_ACTIONS: tuple[CallAction, ...] = (
    CallAction(
        "focus",
        "1–9",
        "Focus",
        "Give a call microphone and loudspeaker, by its number, and look at it",
        _to_focus,
        lambda _call, _words: SwitchFocus(),
    ),
    CallAction(
        "hold",
        ",",
        "Suspend",
        "Hear nothing of a call and say nothing in it, without leaving, or again",
        meant,
        _hold,
    ),
    CallAction(
        "policy",
        ".",
        "Policy",
        "What happens to sound when I am in several calls",
        _to_focus,
        lambda _call, words: SetMultiCallPolicy(MultiCallPolicy(words)),
    ),
    CallAction(
        "leave_call",
        ";",
        "Leave call",
        "Leave a call from anywhere; it goes on without me",
        meant,
        lambda _call, _words: Leave(),
        confirm=True,
    ),
    CallAction(
        "stay_in",
        "=",
        "Stay",
        "Say that I am still here, before an unused call ends by itself",
        _prompting,
        lambda _call, _words: Stay(),
    ),
)
CALL_ACTIONS_BY_ID = {action.id: action for action in CALL_ACTIONS}
