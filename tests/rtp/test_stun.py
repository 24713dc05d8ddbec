"""STUN on the short path, with aioice as the oracle in both directions."""

from __future__ import annotations

import aioice.stun
from hypothesis import given
from hypothesis import strategies as st

from greenroom.rtp.stun import (
    BINDING_REQUEST,
    BINDING_SUCCESS,
    build_request,
    build_success,
    integrity_holds,
    is_stun,
    parse_stun,
)

KEY = b"a password of twenty-two"
ids = st.binary(min_size=12, max_size=12)


def _their_request(transaction: bytes, attributes: dict[str, int | None]) -> bytes:
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
        transaction_id=transaction,
    )
    message.attributes["USERNAME"] = "server:client"
    message.attributes.update(attributes)
    message.add_message_integrity(KEY)
    return bytes(message)


@given(ids)
def test_aioice_requests_are_understood(transaction: bytes) -> None:
    wire = _their_request(transaction, {"PRIORITY": 1234, "USE-CANDIDATE": None})
    message = parse_stun(wire)
    assert message is not None
    assert (message.kind, message.transaction, message.username) == (
        BINDING_REQUEST,
        transaction,
        "server:client",
    )
    assert message.use_candidate
    assert message.priority == 1234
    assert integrity_holds(wire, message, KEY)
    assert not integrity_holds(wire, message, b"another password entirely")


def test_a_request_without_priority_is_fine() -> None:
    message = parse_stun(_their_request(bytes(12), {}))
    assert message is not None
    assert message.priority is None


@given(ids, st.ip_addresses(), st.integers(0, 65535))
def test_aioice_accepts_our_success(transaction: bytes, host: object, port: int) -> None:
    theirs = aioice.stun.parse_message(build_success(transaction, (str(host), port), KEY))
    assert theirs.check_message_integrity(KEY)
    assert theirs.transaction_id == transaction
    assert theirs.attributes["XOR-MAPPED-ADDRESS"] == (str(host), port)


@given(ids, st.ip_addresses(), st.integers(0, 65535))
def test_our_success_is_read_back(transaction: bytes, host: object, port: int) -> None:
    message = parse_stun(build_success(transaction, (str(host), port), KEY))
    assert message is not None
    assert message.kind == BINDING_SUCCESS
    assert message.mapped_address == (str(host), port)


@given(ids, st.booleans())
def test_aioice_accepts_our_request(transaction: bytes, nominate: bool) -> None:
    wire = build_request(transaction, "server:client", KEY, use_candidate=nominate)
    theirs = aioice.stun.parse_message(wire)
    assert theirs.check_message_integrity(KEY)
    assert ("USE-CANDIDATE" in theirs.attributes) == nominate
    assert theirs.attributes["USERNAME"] == "server:client"


@given(st.binary(max_size=120))
def test_any_bytes_are_a_message_or_none(datagram: bytes) -> None:
    assert parse_stun(datagram) is None or is_stun(datagram)


@given(ids, st.data())
def test_a_damaged_request_is_never_authentic(transaction: bytes, data: st.DataObject) -> None:
    wire = bytearray(build_request(transaction, "server:client", KEY, use_candidate=True))
    at = data.draw(st.integers(0, len(wire) - 9))  # all but FINGERPRINT, which signs nothing
    wire[at] ^= data.draw(st.integers(1, 255))
    message = parse_stun(bytes(wire))
    assert message is None or not integrity_holds(bytes(wire), message, KEY)


def test_what_follows_the_signature_is_not_believed() -> None:
    honest = build_request(bytes(12), "server:client", KEY)
    without_fingerprint = honest[:-8]
    smuggled = without_fingerprint + bytes([0, 0x25, 0, 0])
    wire = smuggled[:2] + (len(smuggled) - 20).to_bytes(2, "big") + smuggled[4:]
    message = parse_stun(wire)
    assert message is not None
    assert integrity_holds(wire, message, KEY)
    assert not message.use_candidate
