"""Each correction of aiortc 1.16 and aioice 0.13, on real sockets; a new version that changes one fails here."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aioice import stun
from aioice.candidate import Candidate
from aioice.ice import Connection
from aiortc import InvalidStateError, RTCConfiguration, RTCPeerConnection
from aiortc import RTCSessionDescription as Description
from aiortc.codecs import CODECS
from aiortc.rtp import RtpPacket

from greenroom.media import aiortc_private
from greenroom.media.connection import MediaConnection, configuration
from greenroom.media.sources import Tone
from greenroom.protocol.ice import IceServer
from tests.media.sound import until

DTLS_ALERT = bytes([21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40])


class Stranger(asyncio.DatagramProtocol):
    """A UDP socket of its own on loopback."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)  # asyncio's own does not inherit from it

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.received.append(data)


@asynccontextmanager
async def stranger() -> AsyncIterator[Stranger]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Stranger, local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()


@asynccontextmanager
async def connected(
    *, silent: list[str] | None = None, check_interval_seconds: float = 2.0, dead_after_seconds: float = 6.0
) -> AsyncIterator[tuple[Connection, Connection]]:
    """A controlling and a controlled corrected ICE connection, on loopback only."""
    here, there = Connection(ice_controlling=True), Connection(ice_controlling=False)
    for ice in (here, there):
        aiortc_private.correct_ice(
            ice,
            on_silent=silent.append if silent is not None and ice is here else None,
            check_interval_seconds=check_interval_seconds,
            dead_after_seconds=dead_after_seconds,
        )
        await ice.gather_candidates()
    for ice, other in ((here, there), (there, here)):
        ice.remote_username, ice.remote_password = other.local_username, other.local_password
        await ice.add_remote_candidate(loopback_candidate(other))
        await ice.add_remote_candidate(None)
    await asyncio.wait_for(asyncio.gather(here.connect(), there.connect()), 5.0)
    try:
        yield here, there
    finally:
        await here.close()
        await there.close()


def loopback_candidate(ice: Connection) -> Candidate:
    return next(candidate for candidate in ice.local_candidates if candidate.host == "127.0.0.1")


def address_of(ice: Connection) -> tuple[str, int]:
    candidate = loopback_candidate(ice)
    return candidate.host, candidate.port


def check(sender: Connection, receiver: Connection, *, priority: bool = True) -> bytes:
    """An authenticated check as `sender` would send it to `receiver`."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{receiver.local_username}:{sender.local_username}"
    if priority:
        request.attributes["PRIORITY"] = 1845501695
    request.attributes["ICE-CONTROLLING"] = sender._tie_breaker
    request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(receiver.local_password.encode())
    return bytes(request)


async def test_127_0_0_1_is_a_candidate() -> None:
    ice = Connection(ice_controlling=True)
    aiortc_private.correct_ice(ice)
    await ice.gather_candidates()
    assert loopback_candidate(ice).port > 0
    await ice.close()


async def test_correcting_twice_changes_nothing() -> None:
    ice = Connection(ice_controlling=True)
    aiortc_private.correct_ice(ice)
    before = dict(vars(ice))
    aiortc_private.correct_ice(ice)
    assert vars(ice) == before


async def test_a_datagram_from_an_unproven_address_is_not_read() -> None:
    async with connected() as (here, there), stranger() as forger:
        for ice in (here, there):
            forger.transport.sendto(DTLS_ALERT, address_of(ice))
            forger.transport.sendto(b"", address_of(ice))
        await asyncio.sleep(0.05)  # what must not happen has had its chance
        await here.send(b"\x16 from here")
        await there.send(b"\x16 from there")
        assert await asyncio.wait_for(there.recv(), 2.0) == b"\x16 from here"
        assert await asyncio.wait_for(here.recv(), 2.0) == b"\x16 from there"


async def test_a_forged_datagram_before_the_connection_is_there_is_not_kept() -> None:
    ice = Connection(ice_controlling=False)
    aiortc_private.correct_ice(ice)
    await ice.gather_candidates()
    async with stranger() as forger:
        for _ in range(100):
            forger.transport.sendto(DTLS_ALERT, address_of(ice))
        forger.transport.sendto(check(ice, ice), address_of(ice))
        await until(lambda: len(forger.received) > 0, "the check after them is answered")
    assert ice._queue.qsize() == 0
    await ice.close()


async def test_malformed_stun_ends_in_nothing() -> None:
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context))
    chance = random.Random(6)
    async with connected() as (here, there), stranger() as forger:
        whole = check(here, there)
        for _ in range(400):
            mutant = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
            for _ in range(chance.randrange(1, 6)):
                mutant[chance.randrange(len(mutant))] = chance.randrange(256)
            mutant[0] &= 1
            if len(mutant) >= 20:
                mutant[2:4] = (len(mutant) - 20).to_bytes(2, "big")
            forger.transport.sendto(bytes(mutant), address_of(there))
        await here.send(b"\x16 still here")
        assert await asyncio.wait_for(there.recv(), 2.0) == b"\x16 still here"
    assert raised == []


async def test_unauthenticated_stun_gets_no_answer() -> None:
    async with connected() as (here, there), stranger() as forger:
        bare = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        forger.transport.sendto(bytes(bare), address_of(there))
        wrong = bytearray(check(here, there))
        wrong[-1] ^= 1
        forger.transport.sendto(bytes(wrong), address_of(there))
        forger.transport.sendto(check(here, there), address_of(there))
        await until(lambda: len(forger.received) > 0, "the authenticated check is answered")
        answers = [stun.parse_message(data).message_class for data in forger.received]
        assert answers[0] == stun.Class.RESPONSE
        assert stun.Class.ERROR not in answers


async def test_a_check_without_priority_is_accepted() -> None:
    async with connected() as (here, there), stranger() as ffmpeg:
        ffmpeg.transport.sendto(check(here, there, priority=False), address_of(there))
        await until(lambda: len(ffmpeg.received) > 0, "the check is answered")
        port = ffmpeg.transport.get_extra_info("sockname")[1]
        assert port in [candidate.port for candidate in there.remote_candidates]


async def test_what_nobody_reads_is_bounded() -> None:
    async with connected() as (here, there):
        for _ in range(2000):
            await here.send(b"\x80 media")
            await asyncio.sleep(0)  # a datagram is read each turn of the loop
        await until(lambda: there._queue.qsize() >= 1024, "as much as may wait is waiting")
        assert there._queue.qsize() == 1024


async def test_a_peer_with_a_new_address_is_followed() -> None:
    async with connected() as (here, there), stranger() as moved:
        for protocol in here._protocols:
            protocol.transport.abort()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 3.0
        while b"\x16 hello" not in moved.received:
            assert loop.time() < deadline, "nothing came to the new address"
            moved.transport.sendto(check(here, there), address_of(there))
            await there.send(b"\x16 hello")
            await asyncio.sleep(0.05)


async def test_an_address_that_still_answers_is_not_left_for_another() -> None:
    async with connected(check_interval_seconds=0.1) as (here, there), stranger() as other:
        for _ in range(20):
            other.transport.sendto(check(here, there), address_of(there))
            await here.send(b"\x16 alive")
            await there.send(b"\x16 hello")
            await asyncio.sleep(0.02)
        assert b"\x16 hello" not in other.received


async def test_a_peer_that_stops_answering_is_dead_after_the_given_time() -> None:
    silent: list[str] = []
    async with connected(silent=silent, check_interval_seconds=0.1, dead_after_seconds=0.5) as (_, there):
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.3)
        assert silent == []
        began = loop.time()
        for protocol in there._protocols:
            protocol.transport.abort()
        await until(lambda: len(silent) == 1, "the silence is noticed")
        assert 0.35 <= loop.time() - began <= 1.0
    assert "has not answered" in silent[0]


def test_checks_go_out_every_2_s_and_6_s_are_too_long() -> None:
    assert aiortc_private.CHECK_INTERVAL_SECONDS == 2.0
    assert aiortc_private.DEAD_AFTER_SECONDS == 6.0


async def test_no_ice_server_is_asked_unless_given() -> None:
    connection = MediaConnection(source=Tone())
    await connection.offer()
    assert connection._peer is not None
    ice = aiortc_private.ice_connection(connection._peer)
    assert (ice.stun_server, ice.turn_server) == (None, None)
    await connection.close()


async def test_a_given_ice_server_is_used_and_its_secret_never_shown() -> None:
    server = IceServer(("turn:127.0.0.1:9?transport=udp",), "ann", "s3cret")
    assert "s3cret" not in repr(server)
    peer = RTCPeerConnection(configuration([server]))
    peer.addTransceiver("audio")
    assert aiortc_private.ice_connection(peer).turn_server == ("127.0.0.1", 9)
    assert aiortc_private.ice_connection(peer).turn_password == "s3cret"
    await peer.close()


async def test_everything_goes_through_one_bundle_with_opus_at_111() -> None:
    connection = MediaConnection(source=Tone(), slots=2)
    offer = await connection.offer(video_lines=1)
    assert "a=group:BUNDLE 0 1 2 3\r\n" in offer
    assert offer.count("UDP/TLS/RTP/SAVPF 111 63\r\n") == 3
    assert [
        line for line in offer.splitlines() if line.startswith(("a=sendonly", "a=recvonly", "a=inactive"))
    ] == [
        "a=sendonly",
        "a=recvonly",
        "a=recvonly",
        "a=inactive",
    ]
    assert connection._peer is not None
    assert len({line.receiver.transport for line in connection._peer.getTransceivers()}) == 1
    await connection.close()


async def test_aiortc_stays_as_it_is_for_others() -> None:
    connection = MediaConnection(source=Tone())
    await connection.offer()
    assert CODECS["audio"][0].payloadType == 96
    other = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    other.addTransceiver("audio")
    ice = aiortc_private.ice_connection(other)
    assert not {"check_incoming", "query_consent", "get_component_candidates", "respond_error"} & set(
        vars(ice)
    )
    await other.close()
    await connection.close()


@asynccontextmanager
async def sending_to_aiortc() -> AsyncIterator[tuple[MediaConnection, RTCPeerConnection, list[RtpPacket]]]:
    """A connection whose microphone arrives, packet by packet, at a peer of aiortc."""
    connection = MediaConnection(source=Tone(440.0, -20.0), slots=1)
    far = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    await far.setRemoteDescription(Description(await connection.offer(), "offer"))
    packets: list[RtpPacket] = []
    aiortc_private.take_over_receiver(
        far.getTransceivers()[0].receiver, lambda packet, is_red, jitter_ms: packets.append(packet)
    )
    aiortc_private.correct_ice(aiortc_private.ice_connection(far))
    await far.setLocalDescription()
    await connection.accept(far.localDescription.sdp)
    await connection.wait_connected(5.0)
    try:
        yield connection, far, packets
    finally:
        await connection.close()
        await far.close()


@pytest.mark.live
async def test_packets_carry_our_opus_level_voice_bit_and_marks() -> None:
    async with sending_to_aiortc() as (connection, _, packets):
        connection.set_microphone(True)
        await until(lambda: len(packets) >= 20, "twenty packets arrive")
        connection.set_microphone(False)
        await asyncio.sleep(0.1)
        paused = len(packets)
        await asyncio.sleep(0.2)
        assert len(packets) == paused
        connection.set_microphone(True)
        await until(lambda: len(packets) >= paused + 5, "more packets arrive")
    assert {packet.payload_type for packet in packets} == {111}
    assert packets[10].extensions.audio_level == (True, 20)
    assert packets[10].extensions.mid == "0"
    assert [n for n, packet in enumerate(packets) if packet.marker] == [0, paused]
    sequences = [packet.sequence_number for packet in packets]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)]
    assert steps[: paused - 1] == [960] * (paused - 1)
    assert steps[paused - 1] >= 960 * 10
    assert steps[paused - 1] % 960 == 0


@pytest.mark.live
async def test_both_directions_keep_the_counts_that_reports_are_made_of() -> None:
    async with sending_to_aiortc() as (connection, far, packets):
        connection.set_microphone(True)
        await until(lambda: connection.statistics().sent.rtt_ms is not None, "a report comes back", 8.0)
        sent = connection.statistics().sent
        assert sent.rtt_ms is not None
        assert 0.0 <= sent.rtt_ms < 500.0
        assert sent.lost_percent == 0.0
        assert sent.packets >= len(packets) > 40
        reports = await far.getTransceivers()[0].receiver.getStats()
        outbound = next(report for report in reports.values() if report.type == "remote-outbound-rtp")
        assert 0 < outbound.packetsSent <= sent.packets
        inbound = next(report for report in reports.values() if report.type == "inbound-rtp")
        assert inbound.packetsReceived == len(packets)
        assert not [thread for thread in threading.enumerate() if thread.name == "audio-decoder"]


async def test_a_connection_that_is_closed_while_it_connects_ends_without_a_traceback() -> None:
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    here, there = RTCPeerConnection(configuration(())), RTCPeerConnection(configuration(()))
    try:
        for peer in (here, there):
            aiortc_private.correct_connecting(peer)
            peer.addTransceiver("audio")
        await here.setLocalDescription(await here.createOffer())
        await there.setRemoteDescription(here.localDescription)
        await there.getTransceivers()[0].receiver.transport.transport.stop()  # as the other side's end does
        await there.setLocalDescription(await there.createAnswer())
        await asyncio.sleep(0)  # it begins to connect, and finds that it is over
        await asyncio.sleep(0)
    finally:
        await asyncio.gather(here.close(), there.close())
    gc.collect()
    await asyncio.sleep(0)
    assert [one for one in failed if isinstance(one.get("exception"), InvalidStateError)] == []
