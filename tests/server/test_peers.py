"""Two people's signals towards a direct way pass through the server, and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.peers import (
    MAX_CANDIDATE_CHARACTERS,
    MAX_DESCRIPTION_CHARACTERS,
    Failure,
    PeerAnswer,
    PeerCandidate,
    PeerFailed,
    PeerOffer,
    PeerReady,
    PeerSignal,
)
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import GetOrCreate, Join, Revoke
from greenroom.protocol.wire import CloseCode, FromPeer, Ping, Pong, ToPeer
from greenroom.server.limits import PEER_SIGNALS_BURST
from tests.server.guest import Guest, Visit, serving, token_for, visiting

CID, ELSEWHERE, ORDINARY = Cid("direct:tea"), Cid("direct:coffee"), Cid("default:tea")
OFFER = PeerOffer("a1", "v=0\r\nc=IN IP4 203.0.113.77\r\n")


@asynccontextmanager
async def two(data: Path) -> AsyncIterator[tuple[Visit, Guest, Guest]]:
    """Yield a way in, and ann and bo who are together in a direct room."""
    async with serving(data) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(data, "ann"))
        bo = await visit.enter(token_for(data, "bo"))
        await ann.done(GetOrCreate(title="Tea"), Join(), cid=CID)
        await bo.done(Join(), cid=CID)
        await ann.until(lambda: len(ann.room(CID).participants) == 2)
        yield visit, ann, bo


async def heard_by(guest: Guest) -> list[PeerSignal]:
    """Return everything the others signalled to `guest` so far."""
    at = float(len(guest.heard))
    await guest.say(Ping(at))
    await guest.hears(Pong, lambda pong: pong.at == at)
    return [message.body for message in guest.all(FromPeer)]


async def settled(guest: Guest) -> None:
    """Return when the server has taken everything `guest` said."""
    await heard_by(guest)


async def test_signals_arrive_as_they_were_sent_with_their_sender(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, ann, bo):
        signals: list[PeerSignal] = [
            OFFER,
            PeerCandidate("a1", "candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host"),
            PeerFailed(Failure.NO_WAY, "a1"),
        ]
        for signal in signals:
            await ann.say(ToPeer(CID, UserId("bo"), signal))
        await bo.hears(FromPeer, lambda message: isinstance(message.body, PeerFailed))
        assert bo.all(FromPeer) == [FromPeer(CID, UserId("ann"), signal) for signal in signals]
        await bo.say(ToPeer(CID, UserId("ann"), PeerAnswer("a1", "v=0")))
        assert (await ann.hears(FromPeer)).body == PeerAnswer("a1", "v=0")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(ToPeer(CID, UserId("cal"), OFFER), id="to somebody who is not here"),
        pytest.param(ToPeer(CID, UserId("ann"), OFFER), id="to oneself"),
        pytest.param(ToPeer(ELSEWHERE, UserId("bo"), OFFER), id="in another room"),
        pytest.param(ToPeer(Cid("not a room"), UserId("bo"), OFFER), id="in no room"),
        pytest.param(
            ToPeer(CID, UserId("bo"), PeerOffer("a1", "v" * (MAX_DESCRIPTION_CHARACTERS + 1))),
            id="too long a description",
        ),
        pytest.param(ToPeer(CID, UserId("bo"), PeerOffer("", "v=0")), id="without a name"),
        pytest.param(ToPeer(CID, UserId("bo"), PeerOffer("a" * 33, "v=0")), id="too long a name"),
        pytest.param(
            ToPeer(CID, UserId("bo"), PeerCandidate("a1", "candidate:" + "1" * MAX_CANDIDATE_CHARACTERS)),
            id="too long a candidate",
        ),
        pytest.param(
            ToPeer(CID, UserId("bo"), PeerCandidate("a1", "candidate:1\r\na=setup:active")),
            id="a candidate of two lines",
        ),
    ],
)
async def test_what_does_not_belong_or_fit_reaches_nobody(tmp_path: Path, message: ToPeer) -> None:
    async with two(tmp_path) as (_, ann, bo):
        await ann.say(message)
        await settled(ann)
        assert await heard_by(bo) == []
        assert await heard_by(ann) == []


async def test_a_stranger_and_a_third_person_are_not_passed_on(tmp_path: Path) -> None:
    async with two(tmp_path) as (visit, ann, bo):
        cal = await visit.enter(token_for(tmp_path, "cal"))
        await cal.say(ToPeer(CID, UserId("bo"), OFFER))
        await settled(cal)
        assert await heard_by(bo) == []
        await cal.done(Join(), cid=CID)
        for guest in (cal, ann):
            await guest.say(ToPeer(CID, UserId("bo"), OFFER))
            await settled(guest)
        assert await heard_by(bo) == []
        await ann.say(ToPeer(CID, UserId("bo"), PeerFailed(Failure.UNWILLING)))
        assert (await bo.hears(FromPeer)).body == PeerFailed(Failure.UNWILLING)


async def test_nothing_is_passed_on_where_somebody_may_not_speak(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, ann, bo):
        await ann.done(Revoke(UserId("bo"), frozenset({Capability.SEND_AUDIO})), cid=CID)
        await bo.say(ToPeer(CID, UserId("ann"), OFFER))
        await settled(bo)
        assert await heard_by(ann) == []


async def test_nothing_is_passed_on_in_a_room_of_another_kind(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, ann, bo):
        for guest, requests in ((ann, (GetOrCreate(), Join())), (bo, (Join(),))):
            await guest.done(*requests, cid=ORDINARY)
        await ann.say(ToPeer(ORDINARY, UserId("bo"), PeerReady()))
        await settled(ann)
        assert await heard_by(bo) == []


async def test_a_flood_is_cut_to_its_burst_and_no_address_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with two(tmp_path) as (_, ann, bo):
        for _ in range(55):  # below what closes the connection
            await ann.say(ToPeer(CID, UserId("bo"), OFFER))
        await settled(ann)
        assert PEER_SIGNALS_BURST <= len(await heard_by(bo)) <= PEER_SIGNALS_BURST + 10
        assert "203.0.113.77" not in caplog.text


async def test_what_is_no_signal_ends_the_connection(tmp_path: Path) -> None:
    async with two(tmp_path) as (_, ann, bo):
        await ann.socket.send_str(
            '{"type":"to_peer","cid":"direct:tea","to":"bo","body":{"peer":"script","sdp":"x"}}'
        )
        assert await ann.closed() == CloseCode.MALFORMED
        assert await heard_by(bo) == []
