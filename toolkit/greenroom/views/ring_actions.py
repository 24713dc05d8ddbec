"""What a person can do about calls, from wherever they are: one table, as `greenroom.views.actions` is for a room.

Keys are free in both tables. What is made is performed with `Client.perform(cid, request)`: accepting also comes in,
and a call that is placed is joined once somebody accepts.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from greenroom.protocol.ids import Cid, UserId, is_user
from greenroom.protocol.requests import AcceptRing, CancelRing, RejectRing, RingRequest, StartRing
from greenroom.state.engine import ClientState, ConnectionPhase
from greenroom.state.rings import incoming, outgoing


class RingChoice(msgspec.Struct, frozen=True):
    """What was selected or typed: a call by its room (None: the oldest), people by user id, words."""

    cid: Cid | None = None
    people: tuple[UserId, ...] = ()
    text: str = ""


class RingAction(msgspec.Struct, frozen=True):
    """One row. `about(client, chosen)` is the room it is about, None where it is not possible now.

    For `call` that is None too: the face makes up an id, or asks for one.
    """

    id: str
    key: str
    label: str
    help: str
    available: Callable[[ClientState], bool]
    about: Callable[[ClientState, RingChoice], Cid | None]
    build: Callable[[RingChoice], RingRequest | None]


def _rings(client: ClientState) -> bool:
    return bool(incoming(client.rings, client.user))


def _calls(client: ClientState) -> bool:
    return bool(outgoing(client.rings, client.user))


def _incoming(client: ClientState, chosen: RingChoice) -> Cid | None:
    return _one([ring.cid for ring in incoming(client.rings, client.user)], chosen)


def _outgoing(client: ClientState, chosen: RingChoice) -> Cid | None:
    return _one([ring.cid for ring in outgoing(client.rings, client.user)], chosen)


def _one(cids: list[Cid], chosen: RingChoice) -> Cid | None:
    if chosen.cid is None:
        return cids[0] if cids else None
    return chosen.cid if chosen.cid in cids else None


def _start(chosen: RingChoice) -> RingRequest | None:
    if not chosen.people or not all(is_user(user) for user in chosen.people):
        return None
    return StartRing(chosen.people, group=len(chosen.people) > 1, title=chosen.text)


RING_ACTIONS: tuple[RingAction, ...] = (
    RingAction(
        "call",
        "K",
        "Call",
        "Call one person or several, by their user ids",
        lambda client: client.connection is ConnectionPhase.ONLINE,
        lambda _client, chosen: chosen.cid,
        _start,
    ),
    RingAction(
        "answer",
        "Y",
        "Accept the call",
        "Accept the call that rings, and come in",
        _rings,
        _incoming,
        lambda _chosen: AcceptRing(),
    ),
    RingAction(
        "reject",
        "J",
        "Reject the call",
        "Reject the call that rings, for a reason in words or none",
        _rings,
        _incoming,
        lambda chosen: RejectRing(chosen.text),
    ),
    RingAction(
        "busy",
        "W",
        "Say busy",
        "Tell whoever calls that you are busy",
        _rings,
        _incoming,
        lambda chosen: RejectRing(chosen.text, busy=True),
    ),
    RingAction(
        "hang_up",
        "Z",
        "Hang up",
        "Hang up the call you placed",
        _calls,
        _outgoing,
        lambda chosen: CancelRing(chosen.text),
    ),
)

RING_ACTIONS_BY_ID = {action.id: action for action in RING_ACTIONS}
