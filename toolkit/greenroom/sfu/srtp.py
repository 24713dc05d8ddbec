"""SRTP sessions on libsrtp, and the one place that knows pylibsrtp's private parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

MAX_PROTECTION_BYTES = 16  # the tag; AES-CM has 10
MAX_RTCP_PROTECTION_BYTES = 20

# The handle of a session and the in-place functions are what `Session.protect` uses inside. A test
# protects through both and compares.
Handle = Any
Protect = Callable[[Handle, Any, Any], int]
protect_rtp: Protect = lib.srtp_protect
protect_rtcp: Protect = lib.srtp_protect_rtcp
c_memory: Any = ffi


class SrtpProfile(msgspec.Struct, frozen=True):
    """A protection profile of RFC 5764 and 7714; lengths in bytes."""

    name: bytes
    libsrtp: int
    key_bytes: int
    salt_bytes: int


PREFERRED: tuple[SrtpProfile, ...] = (
    SrtpProfile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    SrtpProfile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    SrtpProfile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)
BY_NAME: Mapping[bytes, SrtpProfile] = {profile.name: profile for profile in PREFERRED}


class SrtpError(Exception):
    """A packet could not be protected or is not authentic."""


def keying_bytes(profile: SrtpProfile) -> int:
    """Return how much keying material DTLS must export for `profile`."""
    return 2 * (profile.key_bytes + profile.salt_bytes)


def split_keys(profile: SrtpProfile, material: bytes) -> tuple[bytes, bytes]:
    """Return (client's, server's) master key and salt (RFC 5764, 4.2)."""
    key, salt = profile.key_bytes, profile.salt_bytes
    salts = material[2 * key :]
    return material[:key] + salts[:salt], material[key : 2 * key] + salts[salt : 2 * salt]


class Outbound:
    """Protects what we send to one peer. `handle` goes into batches; it lives as long as this does."""

    __slots__ = ("_session", "handle")

    def __init__(self, profile: SrtpProfile, key: bytes) -> None:
        policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.libsrtp)
        self._session = Session(policy)
        self.handle: Handle = self._session._srtp[0]

    def protect(self, packet: bytes) -> bytes:
        """Return the SRTP packet; raises `SrtpError`."""
        try:
            return bytes(self._session.protect(packet))
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from None

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the SRTCP packet; raises `SrtpError`."""
        try:
            return bytes(self._session.protect_rtcp(packet))
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from None


class Inbound:
    """Checks and opens what one peer sends; replayed packets are errors."""

    __slots__ = ("_session",)

    def __init__(self, profile: SrtpProfile, key: bytes) -> None:
        policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile.libsrtp)
        self._session = Session(policy)

    def open(self, datagram: bytes) -> bytes:
        """Return the RTP packet; raises `SrtpError`."""
        try:
            return bytes(self._session.unprotect(datagram))
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from None

    def open_rtcp(self, datagram: bytes) -> bytes:
        """Return the RTCP compound; raises `SrtpError`."""
        try:
            return bytes(self._session.unprotect_rtcp(datagram))
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from None
