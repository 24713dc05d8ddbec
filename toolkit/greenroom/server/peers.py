"""Signals between two people on their way to send sound directly: looked at from outside, and passed on."""

from __future__ import annotations

import time
from collections.abc import Callable

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import may_signal
from greenroom.protocol.wire import FromPeer, ToPeer, encode
from greenroom.server.limits import PEER_SIGNALS_BURST, PEER_SIGNALS_PER_SECOND, Buckets
from greenroom.server.room import HostedRoom


class Peers:
    """Passes `ToPeer` on as `FromPeer`. What is too much, too big or not allowed is quietly dropped.

    Nothing of a signal is kept, logged or understood here: whoever gets it treats it as a stranger's.
    """

    def __init__(self, hosted: Callable[[Cid], HostedRoom | None]) -> None:
        self._hosted = hosted
        self._pace = Buckets(PEER_SIGNALS_PER_SECOND, PEER_SIGNALS_BURST)

    def pass_on(self, sender: UserId, message: ToPeer) -> bool:
        """Tell the other person, and tell whether that was done."""
        hosted = self._hosted(message.cid)
        room = None if hosted is None else hosted.committed
        if hosted is None or room is None or not may_signal(room, sender, message.to, message.body):
            return False
        if not self._pace.take(sender, time.monotonic()):
            return False
        hosted.tell(message.to, encode(FromPeer(message.cid, sender, message.body)))
        return True
