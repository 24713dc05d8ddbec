from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from greenroom.protocol.call_types import AUDIO_ROOM
from greenroom.protocol.ids import ADMIN, ANONYMOUS, GUEST, HOST, Cid, MessageId
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    DeleteMessage,
    End,
    GetOrCreate,
    GoLive,
    Join,
    Leave,
    PostMessage,
    RaiseHand,
)
from greenroom.protocol.wire import (
    Answer,
    AnswerBody,
    CallTypes,
    Failed,
    MessagesPage,
    MintToken,
    PeoplePage,
    PutCallType,
    QueryCallTypes,
    QueryMessages,
    QueryPeople,
    QueryRooms,
    Question,
    RoomFilter,
    RoomsPage,
    Token,
)
from tests.server.guest import CID, Guest, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live


async def ask(guest: Guest, question: Question) -> AnswerBody:
    answer = await guest.ask(question)
    assert isinstance(answer, Answer), answer
    return answer.body


async def refused(guest: Guest, question: Question) -> Reason:
    answer = await guest.ask(question)
    assert isinstance(answer, Failed), answer
    return answer.refusal.reason


async def rooms(guest: Guest, question: QueryRooms) -> list[str]:
    page = await ask(guest, question)
    assert isinstance(page, RoomsPage)
    return [room.cid.partition(":")[2] for room in page.rooms]


async def test_the_list_shows_what_the_asker_may_know_of(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        admin = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        await open_room(ann, Cid("audio_room:live"), "A talk")
        await ann.done(GetOrCreate(), cid=Cid("audio_room:backstage"))
        await ann.done(GetOrCreate(private=True), GoLive(), cid=Cid("audio_room:private"))
        await bo.done(GetOrCreate(), GoLive(), End(), cid=Cid("audio_room:over"))
        assert sorted(await rooms(ann, QueryRooms())) == ["backstage", "live", "private"]
        assert await rooms(bo, QueryRooms()) == ["live"]
        assert sorted(await rooms(bo, QueryRooms(RoomFilter(include_ended=True)))) == ["live", "over"]
        assert sorted(await rooms(admin, QueryRooms(RoomFilter(live=True)))) == ["live", "private"]
        guest = await visit.enter(token_for(tmp_path, "g1", role=GUEST, bound_to=Cid("audio_room:backstage")))
        assert await rooms(guest, QueryRooms()) == []


async def test_a_preview_counts_people_and_names_the_stage(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), RaiseHand())
        cy = await visit.enter(token_for(tmp_path, "cy"))
        for guest, hands in ((ann, 1), (bo, 1), (cy, 0)):
            page = await ask(guest, QueryRooms())
            assert isinstance(page, RoomsPage)
            (shown,) = page.rooms
            assert (shown.participants, shown.on_stage, shown.hands) == (2, ("Ann",), hands)


@pytest.mark.parametrize("sort", ["title", "participants"])
async def test_a_long_list_comes_in_pages(tmp_path: Path, sort: str) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        root = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        names = [f"r{n}" for n in range(7)]
        for name in names:
            await root.done(GetOrCreate(title=name), cid=Cid(f"audio_room:{name}"))
        seen: list[str] = []
        after = None
        while True:
            page = await ask(root, QueryRooms(sort=sort, limit=3, after=after))
            assert isinstance(page, RoomsPage)
            seen += [room.title for room in page.rooms]
            after = page.next
            if after is None:
                break
        assert sorted(seen) == names
        assert await refused(root, QueryRooms(sort="luck")) is Reason.INVALID


async def test_everybody_in_a_room_can_be_paged_through(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        for number in range(5):
            await (await visit.enter(token_for(tmp_path, f"u{number}"))).done(Join())
        page = await ask(ann, QueryPeople(CID, limit=4))
        assert isinstance(page, PeoplePage)
        assert ([p.user for p in page.people], page.total, page.next) == (["ann", "u0", "u1", "u2"], 6, 4)
        rest = await ask(ann, QueryPeople(CID, limit=4, after=4))
        assert isinstance(rest, PeoplePage)
        assert ([p.user for p in rest.people], rest.next) == (["u3", "u4"], None)
        found = await ask(ann, QueryPeople(CID, text="U3"))
        assert isinstance(found, PeoplePage)
        assert [p.user for p in found.people] == ["u3"]


async def test_older_chat_is_read_from_the_store(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        for number in range(5):
            await ann.done(PostMessage(f"message {number}"))
        page = await ask(ann, QueryMessages(CID, limit=2))
        assert isinstance(page, MessagesPage)
        assert ([m.text for m in page.messages], page.earlier) == (["message 3", "message 4"], True)
        before = await ask(ann, QueryMessages(CID, before=page.messages[0].id, limit=10))
        assert isinstance(before, MessagesPage)
        assert ([m.text for m in before.messages], before.earlier) == (
            [f"message {n}" for n in range(3)],
            False,
        )
        nothing = await ask(ann, QueryMessages(CID, before=MessageId("no such message")))
        assert isinstance(nothing, MessagesPage)
        assert nothing.messages == ()


async def test_a_room_one_may_not_enter_answers_no_question(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await ann.done(GetOrCreate(), Join())
        for cid in (CID, Cid("audio_room:nowhere"), Cid("rubbish")):
            assert await refused(bo, QueryPeople(cid)) is Reason.NOT_FOUND
            assert await refused(bo, QueryMessages(cid)) is Reason.NOT_FOUND
        assert await refused(bo, MintToken(CID, GUEST)) is Reason.NOT_JOINED


async def test_a_link_is_for_one_room_and_for_guests(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        made = await ask(ann, MintToken(CID, ANONYMOUS, 60.0))
        assert isinstance(made, Token)
        listener = await visit.enter(made.token)
        await listener.done(Join())
        assert listener.welcome.role == ANONYMOUS
        assert await refused(listener, MintToken(CID, ANONYMOUS)) is Reason.INVALID
        assert await refused(ann, MintToken(CID, HOST)) is Reason.INVALID
        assert await refused(ann, MintToken(CID, GUEST, 1e9)) is Reason.INVALID


async def test_call_types_are_put_by_admins_and_outlive_the_server(tmp_path: Path) -> None:
    lecture = replace(AUDIO_ROOM, name="lecture", settings=replace(AUDIO_ROOM.settings, backstage=False))
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        root = await visit.enter(token_for(tmp_path, "root", role=ADMIN))
        assert await refused(ann, PutCallType(lecture)) is Reason.UNAUTHORIZED
        assert await refused(root, PutCallType(replace(lecture, name="No Name"))) is Reason.INVALID
        await ask(root, PutCallType(lecture))
        await ann.done(GetOrCreate(), cid=Cid("lecture:one"))
        assert ann.room(Cid("lecture:one")).live
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        kinds = await ask(ann, QueryCallTypes())
        assert isinstance(kinds, CallTypes)
        assert lecture in kinds.call_types


async def test_who_was_here_is_in_the_history(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann, bo = await visit.enter(token_for(tmp_path, "ann")), await visit.enter(token_for(tmp_path, "bo"))
        await open_room(ann)
        await bo.done(Join(), Leave())
        ann.vanish()
    async with serving(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "greenroom.db")) as connection:
        rows = dict(connection.execute("SELECT user, reason FROM participations").fetchall())
        left = connection.execute("SELECT count(*) FROM participations WHERE left_at IS NULL").fetchone()
    assert rows == {"ann": "restart", "bo": "left"}
    assert left == (0,)


async def test_a_message_that_left_the_tail_can_still_be_deleted_and_its_text_is_erased(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        await ann.done(PostMessage("regretted"))
        await ann.until(lambda: len(ann.room().chat) == 1)
        regretted = ann.room().chat[0].id
    with closing(sqlite3.connect(tmp_path / "greenroom.db")) as connection:
        rows = [(CID, f"later{n}", "ann", "Ann", "later", 2.0) for n in range(150)]
        connection.executemany(
            'INSERT INTO messages (cid, id, "user", name, text, at) VALUES (?,?,?,?,?,?)', rows
        )
        connection.commit()
    async with serving(tmp_path) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await ann.done(Join())
        assert regretted not in {message.id for message in ann.room().chat}
        await ann.done(DeleteMessage(regretted))
    with closing(sqlite3.connect(tmp_path / "greenroom.db")) as connection:
        assert connection.execute("SELECT text FROM messages WHERE id = ?", (regretted,)).fetchone() == ("",)
