"""DTLS-SRTP (RFC 5764) on memory BIOs: one context for all peers, no socket, no thread."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Sequence
from enum import Enum, auto

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from greenroom.sfu.srtp import BY_NAME, PREFERRED, SrtpProfile, keying_bytes, split_keys

MAX_DATAGRAM_BYTES = 1200
_RECORD_HEADER_BYTES = 13
_CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_CIPHERS += b":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA"
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}


class Identity(msgspec.Struct, frozen=True):
    """A self-signed certificate and its key; `fingerprint` is SHA-256 as SDP writes it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    fingerprint: str


class DtlsState(Enum):
    """Where a connection is."""

    HANDSHAKING = auto()
    CONNECTED = auto()
    CLOSED = auto()
    FAILED = auto()


class SrtpKeys(msgspec.Struct, frozen=True):
    """What a handshake agreed on: master key and salt of each direction."""

    profile: SrtpProfile
    client: bytes
    server: bytes


def make_identity() -> Identity:
    """Return a fresh identity, valid from yesterday for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "greenroom")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate, key, fingerprint_of(certificate, "sha-256"))


def fingerprint_of(certificate: x509.Certificate, digest: str) -> str:
    """Return the digest as SDP writes it; raises `KeyError` for a digest that is not supported."""
    return certificate.fingerprint(_DIGESTS[digest]).hex(":").upper()


def make_context(identity: Identity, profiles: Sequence[SrtpProfile] = PREFERRED) -> SSL.Context:
    """Return the context shared by every connection: the peer must show a certificate, any will do.

    Who the peer is follows from the fingerprint in the SDP (`certificate_matches`), not from a chain.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(identity.certificate)
    context.use_privatekey(identity.key)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(b":".join(profile.name for profile in profiles))
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_QUERY_MTU)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


class DtlsConnection:
    """One connection. Datagrams go in by `receive`, what to send comes back; nothing raises."""

    __slots__ = ("_connection", "state")

    def __init__(self, context: SSL.Context, *, passive: bool) -> None:
        self._connection = SSL.Connection(context)
        self._connection.set_ciphertext_mtu(MAX_DATAGRAM_BYTES)
        if passive:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self.state = DtlsState.HANDSHAKING

    def begin(self) -> list[bytes]:
        """Return the first flight of the active side."""
        self._step()
        return self._outgoing()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take one datagram and return the datagrams to send; `state` says where we are after it."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return []
        try:
            self._connection.bio_write(datagram)
        except SSL.Error:
            return []
        self._step()
        return self._outgoing()

    def timeout_seconds(self) -> float | None:
        """Return when `retransmit` wants to be called, in seconds from now; None when it does not."""
        return self._connection.DTLSv1_get_timeout()

    def retransmit(self) -> list[bytes]:
        """Return the last flight again when its time has come."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:  # it was sent too often
            self.state = DtlsState.FAILED
        return self._outgoing()

    def close(self) -> list[bytes]:
        """Say goodbye; return the datagrams to send."""
        if self.state is not DtlsState.CONNECTED:
            return []
        self.state = DtlsState.CLOSED
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        return self._outgoing()

    def certificate_matches(self, fingerprints: Sequence[tuple[str, str]]) -> bool:
        """Return whether the peer's certificate has every one of these (digest, fingerprint), at least one."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or not fingerprints:
            return False
        return all(
            digest in _DIGESTS
            and hmac.compare_digest(fingerprint_of(certificate, digest).encode(), expected.encode())
            for digest, expected in fingerprints
        )

    def srtp_keys(self) -> SrtpKeys | None:
        """Return the agreed keys, None when the peers have no profile in common."""
        profile = BY_NAME.get(self._connection.get_selected_srtp_profile())
        if profile is None:
            return None
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", keying_bytes(profile))
        return SrtpKeys(profile, *split_keys(profile, material))

    def _step(self) -> None:
        try:
            if self.state is DtlsState.HANDSHAKING:
                self._connection.do_handshake()
                self.state = DtlsState.CONNECTED
            while True:  # nothing is ever said inside; reading drives retransmissions and the goodbye
                self._connection.recv(2048)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.Error:
            self.state = DtlsState.FAILED

    def _outgoing(self) -> list[bytes]:
        """Return what is waiting, cut between records: the BIO has lost the boundaries of datagrams."""
        try:
            waiting = self._connection.bio_read(65536)
        except SSL.Error:
            return []
        datagrams: list[bytes] = []
        start = at = 0
        while at + _RECORD_HEADER_BYTES <= len(waiting):
            end = at + _RECORD_HEADER_BYTES + int.from_bytes(waiting[at + 11 : at + 13], "big")
            if end - start > MAX_DATAGRAM_BYTES and at > start:
                datagrams.append(waiting[start:at])
                start = at
            at = end
        if at > start:
            datagrams.append(waiting[start:at])
        return datagrams
