"""What somebody who is not connected can be told of through a command or a webhook, and how a webhook is signed. Pure.

A receiver of webhooks can check one with `verify_push`: nobody else can make one, change one, or send one again later.
"""

from __future__ import annotations

import hmac
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ringing import Ring, RingKind

TIMESTAMP_HEADER = "Greenroom-Timestamp"
SIGNATURE_HEADER = "Greenroom-Signature"
DELIVERY_HEADER = "Greenroom-Delivery"
TOLERANCE_SECONDS = 300.0
_SCHEME = "v1="


class PushType(StrEnum):
    """Why somebody is told: it rings for them, or they missed a call."""

    RING = "ring"
    MISSED_CALL = "missed_call"


class PushNotice(msgspec.Struct, frozen=True):
    """One notice, as JSON on a command's standard input or in a webhook's body. Times are wall-clock seconds.

    `id` is the same each time a delivery is tried again. `expires_at`: when the ring is over at the latest, if ever.
    """

    id: str
    type: PushType
    to: UserId
    by: UserId
    by_name: str
    ring: str
    cid: Cid
    kind: RingKind
    title: str
    started_at: float
    expires_at: float | None = None


def notice(id: str, type: PushType, ring: Ring, to: UserId) -> PushNotice:
    """Return what `to` is told of `ring`."""
    rung = ring.of(to)
    by, by_name = (ring.by, ring.by_name) if rung is None else (rung.by, rung.by_name)
    ends = [at for at in (ring.expires_at, None if rung is None else rung.answer_by) if at is not None]
    expires_at = min(ends, default=None) if type is PushType.RING else None
    started_at = ring.started_at if rung is None else rung.rung_at
    return PushNotice(
        id, type, to, by, by_name, ring.id, ring.cid, ring.kind, ring.title, started_at, expires_at
    )


def sign_push(secret: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a webhook's `body` sent at `timestamp` (whole seconds since 1970): HMAC-SHA-256."""
    signed = f"{timestamp}.".encode() + body
    return _SCHEME + hmac.digest(secret.encode(), signed, "sha256").hex()


def verify_push(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Tell whether a webhook is genuine and not older than five minutes. `timestamp` and `signature` are its headers."""
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS or not signature.isascii():
        return False
    return hmac.compare_digest(sign_push(secret, int(timestamp), body), signature)
