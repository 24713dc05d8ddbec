"""Why a request was refused, as a value both sides understand."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from greenroom.protocol.permissions import Capability


class Reason(StrEnum):
    """The kind of refusal; the message beside it is for people."""

    MISSING_CAPABILITY = "missing_capability"
    NOT_FOUND = "not_found"
    NOT_JOINED = "not_joined"
    BLOCKED = "blocked"
    ENDED = "ended"
    FULL = "full"
    ALREADY = "already"
    NOT_REQUESTABLE = "not_requestable"
    INVALID = "invalid"
    NOT_AVAILABLE = "not_available"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    UNSUPPORTED_VERSION = "unsupported_version"
    MEDIA_REFUSED = "media_refused"


class Refusal(msgspec.Struct, frozen=True):
    """No, and why. `missing` names the capability that was needed; `requestable` whether a hand can be raised for it."""

    reason: Reason
    message: str
    missing: Capability | None = None
    requestable: bool = False
