"""Two people's sound without a server between: made at once, bounded against strangers, and gone when the other is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greenroom.errors import MediaFailed, Misuse
from greenroom.lab.netsim import answer_through, relay_before
from greenroom.lab.weather import Weather
from greenroom.media import aiortc_private, peer_to_peer
from greenroom.media.blocks import FRAME, Block, silence
from greenroom.media.dsp import level_dbfs
from greenroom.media.peer_to_peer import DirectConnection
from greenroom.media.sources import Silence, Tone
from greenroom.protocol.ice import IceServer
from greenroom.server.ice_servers import turn_credential
from tests.media.sound import is_tone, until
from tests.turn import relaying

ANN, BO = 1, 2
HOSTS = ("127.0.0.1",)
NOBODY_ANSWERS = IceServer(("stun:127.0.0.1:9", "turn:127.0.0.1:9"), "ann", "secret")


class Pair:
    """Ann, who offers, and Bo, who answers; what each hears of the other, by listener."""

    def __init__(self, **options: Any) -> None:
        self.died: list[str] = []
        self.late: dict[int, list[str]] = {ANN: [], BO: []}
        self.heard: dict[int, list[Block]] = {ANN: [], BO: []}
        self.ann, self.bo = (
            DirectConnection(
                source=Tone(hertz, -20.0),
                partner=partner,
                on_candidate=self.late[me].append,
                on_dead=self.died.append,
                **{"hosts": HOSTS, **options},
            )
            for me, hertz, partner in ((ANN, 440.0, BO), (BO, 700.0, ANN))
        )

    async def connect(self) -> float:
        """Return after how many seconds sound could flow both ways."""
        began = time.perf_counter()
        answer = await self.bo.answer(await self.ann.offer())
        await self.ann.accept(answer)
        await asyncio.gather(self.ann.wait_connected(3.0), self.bo.wait_connected(3.0))
        return time.perf_counter() - began

    def last(self, listener: int, seconds: float) -> Block:
        blocks = self.heard[listener][-round(seconds * 50) :]
        return np.concatenate(blocks) if blocks else silence(0)

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while True:
            for me, connection, partner in ((ANN, self.ann, BO), (BO, self.bo, ANN)):
                self.heard[me].append(connection.pull().get(partner, silence(FRAME)))
            deadline += 0.02
            await asyncio.sleep(max(0.0, deadline - loop.time()))


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[Pair]:
    """Yield two people who are not connected yet, and listen for them."""
    two = Pair(**options)
    listening = asyncio.create_task(two.listen())
    try:
        yield two
    finally:
        listening.cancel()
        await asyncio.gather(two.ann.close(), two.bo.close())


@pytest.mark.live
@pytest.mark.quiet
async def test_both_are_heard_within_a_second_as_they_are_with_redundancy() -> None:
    async with pair() as two:
        seconds = await two.connect()
        print(f"connected directly in {seconds * 1000:.0f} ms")
        assert seconds < 1.0
        assert not two.ann.relayed
        assert not two.bo.relayed
        two.ann.set_microphone(True)
        two.bo.set_microphone(True)
        await until(lambda: is_tone(two.last(BO, 0.5), 440.0, -20.0), "Bo hears Ann")
        await until(lambda: is_tone(two.last(ANN, 0.5), 700.0, -20.0), "Ann hears Bo")
        coding = two.ann.statistics().sent.coding
        assert coding is not None
        assert coding.red_payload_type == 63
        assert two.ann.statistics().people[BO].packets > 20


@pytest.mark.live
async def test_who_may_not_be_heard_is_ignored_whatever_they_send() -> None:
    async with pair() as two:
        await two.connect()
        two.ann.set_microphone(True)
        await until(lambda: is_tone(two.last(BO, 0.5), 440.0, -20.0), "Bo hears Ann")
        sent = two.ann.statistics().sent.packets
        two.bo.set_audible(False)
        await until(lambda: level_dbfs(two.last(BO, 0.1)) < -90.0, "Bo hears nothing", timeout_seconds=0.5)
        received = two.bo.statistics().received.packets
        await until(lambda: two.ann.statistics().sent.packets > sent + 20, "Ann goes on sending")
        assert two.bo.statistics().received.packets <= received + 1
        assert two.bo.levels() == {}
        two.bo.set_audible(True)
        await until(lambda: is_tone(two.last(BO, 0.5), 440.0, -20.0), "Bo hears Ann again")


async def test_servers_that_do_not_answer_are_not_waited_for() -> None:
    async with pair(ice_servers=[NOBODY_ANSWERS]) as two:
        assert await two.connect() < 2.0  # aioice by itself waits for five


@pytest.mark.live
async def test_a_relay_that_answers_later_is_told_then_and_carries_sound_where_nothing_else_does(
    tmp_path: Path,
) -> None:
    async with relaying(tmp_path) as turn:
        username, credential = turn_credential(turn.secret, "ann", int(time.time()) + 60)
        server = IceServer((f"turn:{turn.address}",), username, credential)
        async with pair(ice_servers=[server]) as two:
            offer = await two.ann.offer()
            answer = await two.bo.answer(without_addresses(offer))
            await two.ann.accept(without_addresses(answer))
            for me, other in ((ANN, two.bo), (BO, two.ann)):
                await until(lambda of=me: bool(two.late[of]), "a relay is found")  # type: ignore[misc]  # the loop's own
                (relay,) = two.late[me]
                assert " typ relay " in relay
                await other.add_candidate(relay)
            await asyncio.gather(two.ann.wait_connected(3.0), two.bo.wait_connected(3.0))
            assert two.ann.relayed
            assert two.bo.relayed
            two.ann.set_microphone(True)
            await until(lambda: is_tone(two.last(BO, 0.5), 440.0, -20.0), "Bo hears Ann")


def without_addresses(sdp: str) -> str:
    """Return a description as if every address in it were out of reach."""
    return "\r\n".join(line for line in sdp.splitlines() if not line.startswith("a=candidate:")) + "\r\n"


async def test_only_this_machine_is_named_where_the_server_is_on_it() -> None:
    async with pair() as two:
        candidates = [line for line in (await two.ann.offer()).splitlines() if "candidate" in line]
        assert len(candidates) == 1
        assert " 127.0.0.1 " in candidates[0]


@pytest.mark.live
async def test_a_path_that_is_lost_is_noticed_within_five_seconds() -> None:
    two = Pair()
    offer = await two.ann.offer()
    before_ann = relay_before(offer)
    assert before_ann is not None
    async with before_ann:
        answer = await two.bo.answer(answer_through(offer, before_ann))
        before_bo = relay_before(answer)
        assert before_bo is not None
        async with before_bo:
            await two.ann.accept(answer_through(answer, before_bo))
            await asyncio.gather(two.ann.wait_connected(3.0), two.bo.wait_connected(3.0))
            for relay in (before_ann, before_bo):
                relay.change(up=Weather(loss=1.0), down=Weather(loss=1.0))
            await until(lambda: len(two.died) == 2, "both notice", timeout_seconds=5.0)
            assert set(two.died) == {"the other person could not be reached directly any more"}
            assert not two.ann.connected
            await asyncio.gather(two.ann.close(), two.bo.close())


async def test_who_closes_is_gone_for_the_other_at_once() -> None:
    async with pair() as two:
        await two.connect()
        await two.ann.close()
        await until(lambda: bool(two.died), "Bo is told", timeout_seconds=1.0)
        assert two.died == ["the other person ended the direct connection"]


async def test_an_end_that_is_interrupted_is_an_end_all_the_same() -> None:
    async with pair() as two:
        await two.connect()
        ending = asyncio.create_task(two.ann.close())
        for _ in range(3):  # into the middle of it
            await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        async with asyncio.timeout(1.0):
            await two.ann.close()
        assert two.ann._peer is not None
        assert two.ann._peer.connectionState == "closed"


OFFER_HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
LINE = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\na=mid:{mid}\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {digest}\r\na=setup:actpass\r\n"
    "a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
)
DIGEST = ":".join(["AB"] * 32)


@pytest.mark.parametrize(
    "offer",
    [
        pytest.param("", id="nothing"),
        pytest.param("garbage\x00" * 50, id="garbage"),
        pytest.param(OFFER_HEAD, id="no lines"),
        pytest.param(
            OFFER_HEAD + LINE.format(mid=0, digest="").replace("sha-256", "sha-1"), id="no fingerprint"
        ),
        pytest.param(
            OFFER_HEAD
            + "a=group:BUNDLE 0 1 2 3 4\r\n"
            + "".join(LINE.format(mid=mid, digest=DIGEST) for mid in range(5)),
            id="too many lines",
        ),
        pytest.param(
            OFFER_HEAD
            + "a=group:BUNDLE 0 1\r\n"
            + LINE.format(mid=0, digest=DIGEST)
            + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n",
            id="a data channel",
        ),
        pytest.param(
            OFFER_HEAD + LINE.format(mid=0, digest=DIGEST).replace("opus/48000/2", "opus/8000/x"),
            id="no codec of ours",
        ),
        pytest.param(
            OFFER_HEAD + LINE.format(mid=0, digest=DIGEST) + "a=extmap:x y\r\na=ssrc:nan cname:x\r\n",
            id="attributes that cannot be read",
        ),
    ],
)
async def test_an_offer_that_makes_no_sense_is_refused_in_words(offer: str) -> None:
    async with pair() as two:
        with pytest.raises(MediaFailed, match="the other person's offer"):
            await two.bo.answer(offer)


@pytest.mark.parametrize(
    "answer", ["", "nonsense", OFFER_HEAD, OFFER_HEAD + LINE.format(mid=7, digest=DIGEST)]
)
async def test_an_answer_that_makes_no_sense_is_refused_in_words(answer: str) -> None:
    async with pair() as two:
        await two.ann.offer()
        with pytest.raises(MediaFailed, match="the other person's answer does not fit"):
            await two.ann.accept(answer)


async def test_addresses_that_are_of_no_use_are_not_tried(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenroom")
    async with pair() as two:
        answer = await two.bo.answer(await two.ann.offer())
        extra = [
            "candidate:1 1 udp 1 10.1.2.3 5000 typ host",  # beyond a server that is on this machine
            "candidate:1 1 tcp 1 127.0.0.1 5000 typ host tcptype passive",
            "candidate:1 1 udp 1 1b2c.local 5000 typ host",
            "candidate:1 1 udp 1 224.0.0.1 5000 typ srflx raddr 0.0.0.0 rport 9",
            "candidate:1 1 udp 1 127.0.0.1 port typ host",
            "candidate:" + "x " * 7,
            "candidate:",
        ]
        for candidate in extra:
            await two.ann.add_candidate(candidate)
        await two.ann.accept(
            answer.replace("a=candidate", "a=candidate:1 1 udp 1 10.1.2.3 5 typ host\r\na=candidate", 1)
        )
        assert two.ann._peer is not None
        ice = aiortc_private.ice_connection(two.ann._peer)
        assert [candidate.host for candidate in ice.remote_candidates] == ["127.0.0.1"]
        for port in range(1000, 1100):
            await two.ann.add_candidate(f"candidate:{port} 1 udp 1 127.0.0.1 {port} typ host")
        assert len(ice.remote_candidates) <= peer_to_peer.MOST_CANDIDATES
        assert caplog.text == ""


async def test_a_connection_is_made_once() -> None:
    async with pair() as two:
        await two.ann.offer()
        with pytest.raises(Misuse):
            await two.ann.offer()


async def test_without_a_relay_there_is_no_relayed_way() -> None:
    for servers in ([], [NOBODY_ANSWERS]):
        connection = DirectConnection(
            source=Silence(), partner=BO, relayed_only=True, ice_servers=servers, hosts=HOSTS
        )
        async with asyncio.timeout(2.5):
            with pytest.raises(MediaFailed, match="no relay"):
                await connection.offer()
        await connection.close()
