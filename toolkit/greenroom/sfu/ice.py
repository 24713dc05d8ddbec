"""Who may speak to our port: ICE-lite checks (RFC 8445), and the addresses they proved."""

from __future__ import annotations

import msgspec

from greenroom.rtp.stun import BINDING_REQUEST, build_success, integrity_holds, parse_stun
from greenroom.sfu.fanout import Address
from greenroom.sfu.limits import SOURCE_CHECKS_PER_SECOND, SourceCounter
from greenroom.sfu.peer import Peer


class Admitted(msgspec.Struct, frozen=True):
    """An authentic check: whose, what to answer, and whether we now send to another address."""

    peer: Peer
    response: bytes
    moved: bool


class Admission:
    """Peers by the name in their checks and by the addresses that passed one.

    Anything that is not an authentic check of a known peer is not answered at all, so nothing can be
    reflected off us.
    """

    def __init__(self) -> None:
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._checks = SourceCounter(SOURCE_CHECKS_PER_SECOND)

    def add(self, peer: Peer) -> None:
        """Expect checks for `peer`."""
        self._by_ufrag[peer.ufrag] = peer

    def remove(self, peer: Peer) -> None:
        """Forget the peer's name and addresses."""
        self._by_ufrag.pop(peer.ufrag, None)
        for address in peer.addresses:
            if self._by_address.get(address) is peer:
                del self._by_address[address]

    def peer_at(self, address: Address) -> Peer | None:
        """Return whose authenticated address this is."""
        return self._by_address.get(address)

    def check(self, datagram: bytes, address: Address, now: float) -> Admitted | None:
        """Judge one STUN datagram; None when it deserves no answer."""
        if not self._checks.allows(address, now):
            return None
        message = parse_stun(datagram)
        if message is None or message.kind != BINDING_REQUEST:
            return None
        peer = self._by_ufrag.get(message.username.partition(":")[0])
        if peer is None or message.username != peer.username:
            return None
        if not integrity_holds(datagram, message, peer.password):
            return None
        before = peer.address
        forgotten = peer.checked(address, message.use_candidate, now)
        if forgotten is not None and self._by_address.get(forgotten) is peer:
            del self._by_address[forgotten]
        self._by_address[address] = peer
        response = build_success(message.transaction, address, peer.password)
        return Admitted(peer, response, moved=peer.address != before)
