"""A client's copy of a room, kept by folding the same events as everybody."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import Cid
from greenroom.protocol.room import Room
from greenroom.protocol.wire import Happened, Snapshot


class Outcome(StrEnum):
    """What a message did to the replica. After a `GAP`, ask with `wire.Sync`."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    GAP = "gap"


class Replica(msgspec.Struct, frozen=True):
    """The room as of event (`epoch`, `seq`)."""

    cid: Cid
    epoch: int = -1
    seq: int = 0
    room: Room | None = None


def receive(replica: Replica, message: Snapshot | Happened) -> tuple[Replica, Outcome]:
    """Return the replica after `message`, and what became of it.

    A snapshot replaces the replica unless it is older than it (same epoch, smaller seq). Events apply when they
    continue it; those already folded are skipped, also when a message repeats some and brings new ones.
    """
    if isinstance(message, Snapshot):
        if message.epoch == replica.epoch and message.seq < replica.seq:
            return replica, Outcome.DUPLICATE
        return Replica(replica.cid, message.epoch, message.seq, message.room), Outcome.APPLIED
    if message.epoch != replica.epoch or replica.room is None or message.seq > replica.seq + 1:
        return replica, Outcome.GAP
    new = message.events[max(0, replica.seq + 1 - message.seq) :]
    if not new:
        return replica, Outcome.DUPLICATE
    return Replica(
        replica.cid, replica.epoch, replica.seq + len(new), fold(replica.room, new)
    ), Outcome.APPLIED
