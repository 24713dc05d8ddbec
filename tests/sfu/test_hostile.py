"""What strangers send to the port changes nothing and is not answered."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.lab.light_client import Credentials, LightClient
from greenroom.rtp.packets import RtpPacket, build_rtp
from greenroom.rtp.stun import build_request
from greenroom.sfu.dtls import DtlsConnection
from tests.sfu.stage import CREDENTIALS, Stage

pytestmark = pytest.mark.live

CLOSE_NOTIFY = bytes([21, 0xFE, 0xFD]) + bytes(8) + bytes([0, 2, 1, 0])
FATAL_ALERT = bytes([21, 0xFE, 0xFD]) + bytes(8) + bytes([0, 2, 2, 40])


class Stranger:
    """Someone off the path who knows the port."""

    def __init__(self, stage: Stage) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self._server = stage.udp.getsockname()

    def send(self, datagram: bytes) -> None:
        self.udp.sendto(datagram, self._server)

    @property
    def answers(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            try:
                found.append(self.udp.recv(2048))
            except BlockingIOError:
                return found


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as found:
        yield found


@pytest.fixture
def stranger(stage: Stage) -> Iterator[Stranger]:
    found = Stranger(stage)
    yield found
    found.udp.close()


def client_hello() -> bytes:
    return b"".join(DtlsConnection(Credentials().context, passive=False).begin())


@pytest.mark.parametrize("run", range(8))
def test_forged_handshakes_and_goodbyes_do_not_keep_anyone_from_connecting(
    stage: Stage, stranger: Stranger, run: int
) -> None:
    hello = client_hello()
    ann = LightClient(credentials=CREDENTIALS)
    stage.invite("ann", 1, ann)
    begun = time.monotonic()
    while not ann.connected:
        for forged in (hello, CLOSE_NOTIFY, FATAL_ALERT, bytes([20, 0xFE, 0xFD]) + secrets.token_bytes(40)):
            stranger.send(forged)
        stage.step()
        assert time.monotonic() - begun < 2.0
    assert stranger.answers == []


def test_forged_goodbyes_do_not_end_a_connection(stage: Stage, stranger: Stranger) -> None:
    ann, ben = stage.join("ann", 1), stage.join("ben", 2)
    for forged in (client_hello(), CLOSE_NOTIFY, FATAL_ALERT):
        stranger.send(forged)
    stage.settle()
    stage.speak(ann, b"still here")
    assert stage.hears(ben) == [b"still here"]
    assert stranger.answers == []


def test_sound_from_an_address_that_was_never_checked_is_dropped(stage: Stage, stranger: Stranger) -> None:
    ann, ben = stage.join("ann", 1), stage.join("ben", 2)
    assert ann.outbound is not None
    stranger.send(
        ann.outbound.protect(build_rtp(RtpPacket(111, 9, 9, ann.source, b"true key, false address")))
    )
    stranger.send(build_rtp(RtpPacket(111, 9, 9, ann.source, b"plain")))
    stage.step()
    assert stage.hears(ben) == []


@pytest.mark.parametrize("password", [b"x" * 32, None], ids=["wrong password", "no such name"])
def test_a_check_that_is_not_authentic_gets_not_a_byte(
    stage: Stage, stranger: Stranger, password: bytes | None
) -> None:
    stage.join("ann", 1)
    peer = stage.unit.peers["ann"]
    username = peer.username if password is not None else "nobody:knows"
    stranger.send(build_request(bytes(12), username, password if password is not None else peer.password))
    stranger.send(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12))
    stage.step()
    assert stranger.answers == []
    assert stage.unit.peers["ann"].address != stranger.udp.getsockname()


def test_a_source_gets_fifty_answers_a_second_however_often_it_checks(
    stage: Stage, stranger: Stranger
) -> None:
    stage.join("ann", 1)
    peer = stage.unit.peers["ann"]
    second = int(time.monotonic())
    for _ in range(150):
        stranger.send(build_request(secrets.token_bytes(12), peer.username, peer.password))
    stage.step()
    windows = int(time.monotonic()) - second + 1
    assert 0 < len(stranger.answers) <= 50 * windows


def test_a_captured_check_does_not_take_the_sound_away(stage: Stage, stranger: Stranger) -> None:
    ann, ben = stage.join("ann", 1), stage.join("ben", 2)
    peer = stage.unit.peers["ben"]
    stranger.send(build_request(bytes(12), peer.username, peer.password))  # as one who read it on the wire
    stage.settle()
    stage.speak(ann, b"for ben")
    assert stage.hears(ben) == [b"for ben"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.sampled_from([0, 1, 20, 22, 63, 128, 144, 191]), st.binary(max_size=200)).map(
            lambda parts: bytes([parts[0]]) + parts[1]
        ),
    )
)
def test_no_datagram_of_a_member_or_a_stranger_raises(stage: Stage, datagram: bytes) -> None:
    if "ann" not in stage.unit.peers:
        stage.clients.pop("ann", None)
        stage.join("ann", 1)
    ann = stage.clients["ann"]
    now = time.monotonic()
    stage.unit.take(datagram, ann.udp.getsockname(), now)
    stage.unit.take(datagram, ("127.0.0.1", 9), now)
    if ann.outbound is not None and len(datagram) > 12:
        header = build_rtp(RtpPacket(111, secrets.randbelow(1 << 15), 0, ann.source))
        broken = bytes([0x80 | datagram[0] & 0x3F]) + header[1:] + datagram
        try:
            stage.unit.take(ann.outbound.protect(broken), ann.udp.getsockname(), now)
        except Exception:  # libsrtp itself will not protect this one
            pass
    stage.unit.work_handshakes()
    assert stage.unit.counters.failures == 0
