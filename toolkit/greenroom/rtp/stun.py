"""STUN binding requests and responses as ICE uses them (RFC 8489, RFC 8445), on a short path."""

from __future__ import annotations

import hmac
import ipaddress
import zlib
from struct import Struct

import msgspec

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
MAGIC_COOKIE = 0x2112A442

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLING = 0x802A

_HEADER_BYTES = 20
_INTEGRITY_BYTES = 24
_FINGERPRINT_XOR = 0x5354554E
_COOKIE = MAGIC_COOKIE.to_bytes(4, "big")
_pair = Struct("!HH")


class StunMessage(msgspec.Struct, frozen=True):
    """What we read of a binding message.

    `integrity_at` is where MESSAGE-INTEGRITY starts, None without one; nothing after it is believed
    except a FINGERPRINT. `priority` is None when absent: some clients leave it out.
    """

    kind: int
    transaction: bytes
    username: str = ""
    integrity_at: int | None = None
    use_candidate: bool = False
    priority: int | None = None
    mapped_address: tuple[str, int] | None = None


def is_stun(datagram: bytes) -> bool:
    """Return whether a datagram is in STUN's share of the first byte (RFC 7983, 7)."""
    return bool(datagram) and datagram[0] < 4


def parse_stun(datagram: bytes) -> StunMessage | None:
    """Return the message, or None when it is not STUN, a length lies or its FINGERPRINT is wrong."""
    size = len(datagram)
    if size < _HEADER_BYTES or size % 4 or datagram[0] > 3 or datagram[4:8] != _COOKIE:
        return None
    kind, length = _pair.unpack_from(datagram)
    if length != size - _HEADER_BYTES:
        return None
    transaction = datagram[8:20]
    username = ""
    integrity_at: int | None = None
    use_candidate = False
    priority: int | None = None
    mapped: tuple[str, int] | None = None
    at = _HEADER_BYTES
    while at < size:
        attribute, width = _pair.unpack_from(datagram, at)
        value = datagram[at + 4 : at + 4 + width]
        if len(value) != width:
            return None
        if attribute == _FINGERPRINT:
            if width != 4 or at + 8 != size or int.from_bytes(value, "big") != _checksum(datagram[:at]):
                return None
        elif integrity_at is not None:
            pass
        elif attribute == _MESSAGE_INTEGRITY:
            if width != 20:
                return None
            integrity_at = at
        elif attribute == _USERNAME:
            username = value.decode("utf-8", "replace")
        elif attribute == _USE_CANDIDATE:
            use_candidate = True
        elif attribute == _PRIORITY and width == 4:
            priority = int.from_bytes(value, "big")
        elif attribute == _XOR_MAPPED_ADDRESS:
            mapped = _read_xor_address(value, transaction)
        at += 4 + width + (-width & 3)
    return StunMessage(kind, transaction, username, integrity_at, use_candidate, priority, mapped)


def integrity_holds(datagram: bytes, message: StunMessage, password: bytes) -> bool:
    """Return whether MESSAGE-INTEGRITY is there and was made with `password` (RFC 8489, 14.5)."""
    at = message.integrity_at
    if at is None:
        return False
    signed = _with_length(datagram[:at], at - _HEADER_BYTES + _INTEGRITY_BYTES)
    return hmac.compare_digest(
        hmac.digest(password, signed, "sha1"), datagram[at + 4 : at + _INTEGRITY_BYTES]
    )


def build_success(transaction: bytes, address: tuple[str, int], password: bytes) -> bytes:
    """Return the signed answer to a binding request that came from `address`."""
    host = ipaddress.ip_address(address[0]).packed
    key = _COOKIE + transaction
    value = (
        bytes([0, 1 if len(host) == 4 else 2])
        + (address[1] ^ MAGIC_COOKIE >> 16).to_bytes(2, "big")
        + bytes(a ^ b for a, b in zip(host, key, strict=False))
    )
    return _sign(BINDING_SUCCESS, transaction, _attribute(_XOR_MAPPED_ADDRESS, value), password)


def build_request(
    transaction: bytes,
    username: str,
    password: bytes,
    *,
    priority: int | None = 1845501695,
    use_candidate: bool = False,
    tie_breaker: int = 1,
) -> bytes:
    """Return a signed check from a controlling agent; `transaction` has 12 bytes."""
    attributes = _attribute(_USERNAME, username.encode())
    if priority is not None:
        attributes += _attribute(_PRIORITY, priority.to_bytes(4, "big"))
    attributes += _attribute(_ICE_CONTROLLING, tie_breaker.to_bytes(8, "big"))
    if use_candidate:
        attributes += _attribute(_USE_CANDIDATE, b"")
    return _sign(BINDING_REQUEST, transaction, attributes, password)


def _sign(kind: int, transaction: bytes, attributes: bytes, password: bytes) -> bytes:
    body = kind.to_bytes(2, "big") + b"\0\0" + _COOKIE + transaction + attributes
    body = _with_length(body, len(attributes) + _INTEGRITY_BYTES)
    body += _attribute(_MESSAGE_INTEGRITY, hmac.digest(password, body, "sha1"))
    body = _with_length(body, len(attributes) + _INTEGRITY_BYTES + 8)
    return body + _attribute(_FINGERPRINT, _checksum(body).to_bytes(4, "big"))


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]


def _checksum(message: bytes) -> int:
    return zlib.crc32(message) ^ _FINGERPRINT_XOR


def _attribute(kind: int, value: bytes) -> bytes:
    return _pair.pack(kind, len(value)) + value + bytes(-len(value) & 3)


def _read_xor_address(value: bytes, transaction: bytes) -> tuple[str, int] | None:
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        return None
    key = _COOKIE + transaction
    host = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], key, strict=False)))
    return str(host), int.from_bytes(value[2:4], "big") ^ MAGIC_COOKIE >> 16
