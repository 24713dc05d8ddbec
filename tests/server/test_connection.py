from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from greenroom.protocol.events import ParticipantLeft
from greenroom.protocol.ids import GUEST, Cid, OpId, UserId
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    BlockUser,
    GetOrCreate,
    GoLive,
    Join,
    Kick,
    Leave,
    PostMessage,
    RaiseHand,
    SetRole,
    StopLive,
)
from greenroom.protocol.room import LeaveReason
from greenroom.protocol.wire import (
    PROTOCOL_VERSION,
    Authenticate,
    CloseCode,
    CustomSignal,
    Do,
    Done,
    Emit,
    Emitted,
    Failed,
    Goodbye,
    Happened,
    Ping,
    Pong,
    Reaction,
    Removed,
    Resume,
    RoomsChanged,
    Snapshot,
    Sync,
    Typing,
    WatchRooms,
    Welcome,
)
from greenroom.server.limits import JOINS_BURST
from tests.server.guest import CID, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live


async def test_somebody_comes_in_makes_a_room_and_talks_to_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        bo = await visit.enter(token_for(tmp_path, "bo"))
        await bo.done(Join(), PostMessage("hello"))
        await ann.hears(Happened, lambda h: "hello" in str(h.events))
        await bo.until(lambda: len(bo.room().chat) == 1)
        assert ann.room() == bo.room()  # nobody is blocked, so both views are one
        assert ann.room().chat[0].name == "Bo"
        assert list(bo.room().participants) == ["ann", "bo"]
        assert ann.gaps == bo.gaps == 0


@pytest.mark.parametrize("request_", [GetOrCreate(), Join()], ids=["get or create", "join"])
async def test_a_snapshot_comes_before_the_answer(tmp_path: Path, request_: Join | GetOrCreate) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await ann.done(GetOrCreate())
        ann.heard.clear()
        await ann.done(request_)
        kinds = [type(message) for message in ann.heard]
        assert kinds.index(Snapshot) < kinds.index(Done)


async def test_an_offer_without_a_media_worker_is_refused_in_words(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        answer = await ann.attach("v=0")
        assert isinstance(answer, Failed)
        assert answer.refusal.reason is Reason.NOT_JOINED
        await open_room(ann)
        answer = await ann.attach("v=0")
        assert isinstance(answer, Failed)
        assert answer.refusal.reason is Reason.NOT_AVAILABLE


DEEP = json.dumps({"type": "ping", "at": 1, "x": 0}).replace("0}", "[" * 40 + "]" * 40 + "}")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        pytest.param("", CloseCode.MALFORMED, id="nothing"),
        pytest.param("{", CloseCode.MALFORMED, id="half of JSON"),
        pytest.param("[]", CloseCode.MALFORMED, id="a list"),
        pytest.param('{"type":"hello"}', CloseCode.MALFORMED, id="a message that does not exist"),
        pytest.param('{"type":"ping","at":1,"more":2}', CloseCode.MALFORMED, id="an unknown field"),
        pytest.param('{"type":"ping","at":NaN}', CloseCode.MALFORMED, id="not a number"),
        pytest.param(DEEP, CloseCode.MALFORMED, id="nested too deep"),
        pytest.param('{"type":"ping","at":1}', CloseCode.UNAUTHORIZED, id="something before the token"),
        pytest.param(
            '{"type":"authenticate","version":1,"token":"x"}',
            CloseCode.UNAUTHORIZED,
            id="a token that is none",
        ),
        pytest.param(
            '{"type":"resume","version":1,"resume_token":"x"}',
            CloseCode.UNAUTHORIZED,
            id="a resume token that is none",
        ),
        pytest.param(
            '{"type":"authenticate","version":2,"token":"x","new":1}',
            CloseCode.UNSUPPORTED_VERSION,
            id="a newer client",
        ),
        pytest.param("x" * 70_000, CloseCode.TOO_BIG, id="more than 64 kB"),
    ],
)
async def test_who_does_not_speak_the_protocol_is_turned_away(tmp_path: Path, first: str, code: int) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        stranger = await visit.knock(first)
        assert await stranger.closed() == code
        assert not stranger.all(Welcome)


async def test_what_nests_too_deep_is_called_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        assert "nest" in (await (await visit.knock(DEEP)).hears(Goodbye)).reason


async def test_rubbish_from_somebody_who_is_in_ends_only_their_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await bo.socket.send_bytes(b"\x00\xff\xfe")
        assert await bo.closed() == CloseCode.MALFORMED
        await ann.say(Ping(1.0))
        assert (await ann.hears(Pong)).at == 1.0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "http://evil.example"}, id="another page"),
        pytest.param({"Origin": "null"}, id="a sandboxed page"),
        pytest.param({"Host": "evil.example"}, id="a name rebound to this machine"),
    ],
)
async def test_pages_from_elsewhere_cannot_open_a_socket(tmp_path: Path, headers: dict[str, str]) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await visit.knock(None, **headers)
        assert refused.value.status in (403, 421)
        await visit.knock(None, Origin=server.url)


async def test_the_latest_connection_of_a_person_wins(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        token = token_for(tmp_path, "ann")
        first = await visit.enter(token)
        await open_room(first)
        second = await visit.enter(token)
        assert await first.closed() == CloseCode.REPLACED
        await second.done(Join())
        assert list(second.room().participants) == ["ann"]
        assert second.room().participants[UserId("ann")].connected


async def test_many_who_resume_with_one_token_leave_one_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        bo = await visit.enter(token_for(tmp_path, "bo"))
        await bo.done(Join())
        ann.vanish()
        await bo.until(lambda: not bo.room().participants[UserId("ann")].connected)
        racers = await asyncio.gather(*(visit.back(ann) for _ in range(30)))
        await asyncio.gather(*(racer.hears_or_is_closed(Welcome) for racer in racers))
        winners = []
        for racer in racers:
            if racer.close_code is None:
                await racer.say(Ping(1.0))
                winners += [racer] if await racer.hears_or_is_closed(Pong) else []
        assert len(winners) == 1
        assert {racer.close_code for racer in racers} <= {None, CloseCode.REPLACED, CloseCode.UNAUTHORIZED}
        await bo.until(lambda: bo.room().participants[UserId("ann")].connected)
        assert not [e for h in bo.all(Happened) for e in h.events if isinstance(e, ParticipantLeft)]


async def test_somebody_who_was_lost_comes_back_to_what_they_missed(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), RaiseHand())
        bo.vanish()
        await ann.until(lambda: not ann.room().participants[UserId("bo")].connected)
        await ann.done(PostMessage("are you there?"))
        again = await visit.back(bo)
        welcome = await again.hears(Welcome)
        assert welcome.resumed == (CID,)
        await again.hears(Happened, lambda h: "are you there?" in str(h.events))
        assert not again.all(Snapshot)  # a gap in the log's reach costs events, not a snapshot
        await ann.until(lambda: ann.room().participants[UserId("bo")].connected)
        assert [hand.user for hand in ann.room().hands] == ["bo"]
        assert again.gaps == 0


async def test_a_resume_token_works_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        again = await visit.back(ann)
        await again.hears(Welcome)
        await again.say(Ping(1.0))
        await again.hears(Pong)
        thief = await visit.back(ann)
        assert await thief.closed() == CloseCode.UNAUTHORIZED
        await again.say(Ping(2.0))
        await again.hears(Pong, lambda pong: pong.at == 2.0)


async def test_whoever_stays_away_leaves_the_room_and_then_the_server(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, grace_seconds=0.2, resume_seconds=0.6) as server,
        visiting(server.url) as visit,
    ):
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), RaiseHand())
        bo.vanish()
        await ann.until(lambda: "bo" not in ann.room().participants)
        assert ann.room().hands == ()
        left = [
            e for h in ann.all(Happened) for e in h.events if "reason" in getattr(e, "__struct_fields__", ())
        ]
        assert [event.reason for event in left] == [LeaveReason.LOST]  # type: ignore[union-attr]  # found by that field
        again = await visit.back(bo)
        assert (await again.hears(Welcome)).resumed == ()
        again.vanish()
        assert server._house is not None
        async with asyncio.timeout(5.0):
            while server._house.people.get(UserId("bo")) is not None:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.02)
        assert await (await visit.back(again)).closed() == CloseCode.UNAUTHORIZED


async def test_a_kicked_person_is_told_and_does_not_come_back_by_resuming(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        await ann.done(Kick(UserId("bo")))
        removed = await bo.hears(Removed)
        assert (removed.reason, removed.by) == (LeaveReason.KICKED, "ann")
        bo.vanish()
        again = await visit.back(bo)
        assert (await again.hears(Welcome)).resumed == ()
        await ann.done(PostMessage("only we hear this"))
        await again.say(Ping(1.0))
        await again.hears(Pong)
        assert not again.all(Happened)


async def test_a_blocked_person_finds_the_room_gone(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        await ann.done(BlockUser(UserId("bo")))
        await bo.hears(Removed)
        refused = await bo.do(Join())
        missing = await bo.do(Join(), Cid("audio_room:nowhere"))
        assert isinstance(refused, Failed)
        assert isinstance(missing, Failed)
        assert refused.refusal.reason is missing.refusal.reason is Reason.NOT_FOUND
        assert refused.refusal.message.replace(CID, "") == missing.refusal.message.replace(
            "audio_room:nowhere", ""
        )


async def test_a_room_backstage_looks_like_no_room(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await ann.done(GetOrCreate(), Join())
        answers = [await bo.do(Join()), await bo.do(PostMessage("x")), await bo.do(GetOrCreate())]
        assert [answer.refusal.reason for answer in answers if isinstance(answer, Failed)] == [
            Reason.NOT_FOUND
        ] * 3
        await ann.done(GoLive())
        await bo.done(Join())
        await ann.done(StopLive())
        assert (await bo.hears(Removed)).reason == LeaveReason.BACKSTAGE


async def test_a_guest_of_one_room_finds_no_other(tmp_path: Path) -> None:
    other = Cid("audio_room:other")
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        await open_room(ann, other)
        guest = await visit.enter(token_for(tmp_path, "guest-1", role=GUEST, bound_to=CID))
        await guest.done(Join())
        refused = await guest.do(Join(), other)
        assert isinstance(refused, Failed)
        assert refused.refusal.reason is Reason.NOT_FOUND


async def test_a_request_sent_again_has_one_effect(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        for _ in range(3):
            assert isinstance(await ann.do(PostMessage("once"), op="same"), Done)
        ann.vanish()
        again = await visit.back(ann)
        await again.hears(Welcome)
        assert isinstance(await again.do(PostMessage("once"), op="same"), Done)
        assert isinstance(await again.do(PostMessage("twice"), op="other"), Done)
        await again.until(lambda: len(again.room().chat) == 2)
        assert [message.text for message in again.room().chat] == ["once", "twice"]


async def test_two_copies_of_a_request_at_once_have_one_effect(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        for _ in range(5):
            await ann.say(Do(OpId("same"), CID, PostMessage("once")))
        await ann.until(lambda: sum(m.op == "same" for m in ann.all(Done)) == 5)
        assert len(ann.room().chat) == 1


async def test_who_talks_too_fast_is_slowed_and_then_cut(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        for number in range(90):
            await ann.say(Do(OpId(f"fast{number}"), CID, PostMessage("spam")))
        slowed = await ann.hears(Failed)
        assert slowed.refusal.reason is Reason.RATE_LIMITED
        for number in range(200):
            await ann.say(Do(OpId(f"faster{number}"), CID, PostMessage("spam")))
        assert await ann.closed() == CloseCode.TOO_FAST
        assert "too many messages" in ann.all(Goodbye)[-1].reason


async def test_coming_and_going_has_a_pace(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        answers = []
        for _ in range(round(JOINS_BURST) + 3):
            answers += [await ann.do(Leave()), await ann.do(Join())]
        reasons = {answer.refusal.reason for answer in answers if isinstance(answer, Failed)}
        assert Reason.RATE_LIMITED in reasons


async def test_signals_reach_the_room_made_safe_and_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        await bo.say(Emit(CID, Typing()))
        await bo.say(Emit(CID, Reaction("\x1b👍\u202e")))
        await bo.say(Emit(CID, CustomSignal("sli\x07de", {"page": 3, "title": "a\x1bb"})))
        await bo.say(Emit(CID, CustomSignal("big", {"x": "y" * 5_000})))
        for _ in range(20):
            await bo.say(Emit(CID, Reaction("👏")))
        await bo.say(Ping(1.0))
        await bo.hears(Pong)
        await ann.say(Ping(1.0))
        await ann.hears(Pong)
        signals = [emitted.signal for emitted in ann.all(Emitted)]
        assert Typing() in signals
        assert Reaction("👍") in signals
        assert CustomSignal("slide", {"page": 3, "title": "ab"}) in signals
        assert not any(isinstance(signal, CustomSignal) and signal.name == "big" for signal in signals)
        assert len(signals) <= 8
        assert {emitted.name for emitted in ann.all(Emitted)} == {"Bo"}


async def test_who_asks_is_told_what_is_missing(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join())
        here = bo.replicas[CID]
        await ann.done(PostMessage("one"), PostMessage("two"))
        await bo.until(lambda: len(bo.room().chat) == 2)
        bo.heard.clear()
        await bo.say(Sync(CID, here.epoch, here.seq))
        assert len((await bo.hears(Happened)).events) == 2
        await bo.say(Sync(CID, here.epoch - 2, 5))
        assert (await bo.hears(Snapshot)).room.chat == bo.room().chat


async def test_a_moderator_sees_more_from_the_moment_they_are_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await ann.done(BlockUser(UserId("zed")))
        await bo.done(Join())
        assert bo.room().blocked == {}
        await ann.done(SetRole(UserId("bo"), "moderator"))  # type: ignore[arg-type]  # a role's name
        await bo.until(lambda: "zed" in bo.room().blocked)
        await ann.done(SetRole(UserId("bo"), "user"))  # type: ignore[arg-type]  # a role's name
        await bo.until(lambda: not bo.room().blocked)
        assert ann.gaps == bo.gaps == 0


async def test_the_list_of_rooms_changes_for_those_who_may_know(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await bo.say(WatchRooms())
        await ann.say(WatchRooms())
        await ann.done(GetOrCreate(), Join())
        await ann.hears(RoomsChanged)
        assert not bo.all(RoomsChanged)
        await ann.done(GoLive())
        await bo.hears(RoomsChanged)


async def test_somebody_who_is_in_cannot_become_another(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        guest = await visit.knock(Authenticate(PROTOCOL_VERSION, token_for(tmp_path, "ann")))
        await guest.hears(Welcome)
        await guest.say(Resume(PROTOCOL_VERSION, guest.welcome.resume_token))
        assert await guest.closed() == CloseCode.MALFORMED
