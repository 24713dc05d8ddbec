"""DTLS on memory: two ends agree on keys, and know each other by fingerprint."""

from __future__ import annotations

import pytest

from greenroom.sfu.dtls import MAX_DATAGRAM_BYTES, DtlsConnection, DtlsState, make_context, make_identity
from greenroom.sfu.srtp import PREFERRED, SrtpProfile

SERVER, CLIENT = make_identity(), make_identity()
SERVER_CONTEXT = make_context(SERVER)


def shake(
    profiles: tuple[SrtpProfile, ...] = PREFERRED,
) -> tuple[DtlsConnection, DtlsConnection, list[bytes]]:
    """Return (server, client, every datagram) after the handshake."""
    server = DtlsConnection(SERVER_CONTEXT, passive=True)
    client = DtlsConnection(make_context(CLIENT, profiles), passive=False)
    seen: list[bytes] = []
    up = client.begin()
    while up:
        seen += up
        down = [answer for datagram in up for answer in server.receive(datagram)]
        seen += down
        up = [answer for datagram in down for answer in client.receive(datagram)]
    return server, client, seen


def test_both_ends_agree_on_keys_and_prefer_aes_128_gcm() -> None:
    server, client, _ = shake(PREFERRED[::-1])
    keys = server.srtp_keys()
    assert keys is not None
    assert keys == client.srtp_keys()
    assert keys.profile.name == b"SRTP_AEAD_AES_128_GCM"
    assert keys.client != keys.server


@pytest.mark.parametrize("profile", PREFERRED, ids=lambda profile: profile.name.decode())
def test_a_client_with_one_profile_gets_it(profile: SrtpProfile) -> None:
    server, _, _ = shake((profile,))
    keys = server.srtp_keys()
    assert keys is not None
    assert keys.profile == profile


def test_datagrams_fit_the_path_and_hold_whole_records() -> None:
    _, _, seen = shake()
    for datagram in seen:
        assert len(datagram) <= MAX_DATAGRAM_BYTES
        at = 0
        while at < len(datagram):
            at += 13 + int.from_bytes(datagram[at + 11 : at + 13], "big")
        assert at == len(datagram)


def test_a_peer_is_known_by_every_fingerprint_it_claimed() -> None:
    server, _, _ = shake()
    assert server.certificate_matches([("sha-256", CLIENT.fingerprint)])
    assert not server.certificate_matches([("sha-256", SERVER.fingerprint)])
    assert not server.certificate_matches([("sha-256", CLIENT.fingerprint), ("sha-512", "00")])
    assert not server.certificate_matches([])


def test_a_goodbye_closes_the_other_end() -> None:
    server, client, _ = shake()
    for datagram in client.close():
        server.receive(datagram)
    assert server.state is DtlsState.CLOSED
    assert server.receive(b"\x16more") == []


def test_a_lost_flight_is_sent_again() -> None:
    client = DtlsConnection(make_context(CLIENT), passive=False)
    first = client.begin()
    assert first
    seconds = client.timeout_seconds()
    assert seconds is not None
    assert 0 < seconds <= 2


@pytest.mark.parametrize("garbage", [b"", b"\x16", bytes(50), b"\x16\xfe\xfd" + bytes(200)])
def test_garbage_does_not_raise(garbage: bytes) -> None:
    server = DtlsConnection(SERVER_CONTEXT, passive=True)
    server.receive(garbage)
