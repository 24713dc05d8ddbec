"""A session with a real server: getting in, coming back, and asking again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.backends.sfu import SfuBackend, SfuSession
from greenroom.engine.client import Client
from greenroom.errors import Malformed, Refused, Unauthorized, Unreachable
from greenroom.hosting import ServerProcess, start_server, start_server_async
from greenroom.server.limits import ROOMS_PER_PERSON
from greenroom.state.call import CallPhase
from greenroom.state.engine import ConnectionPhase
from tests.backends.places import Server, client

pytestmark = pytest.mark.live
SECONDS = 10.0


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("server")
    with start_server(data_dir=str(folder)) as process:
        yield process


@pytest.fixture
def server(process: ServerProcess) -> Server:
    return Server(process)


@pytest.fixture
def cid() -> str:
    return f"audio_room:{secrets.token_hex(6)}"


async def cut(one: Client) -> None:
    """Cut the connection of a client, once it has one, as a network would."""
    session = one._core.session
    assert isinstance(session, SfuSession)
    async with asyncio.timeout(SECONDS):
        while (socket := session._socket) is None or socket.closed:  # noqa: ASYNC110  nobody tells of sockets
            await asyncio.sleep(0.005)
    await one.engine.run(socket.close())


async def test_where_nothing_answers_that_is_said_and_the_client_can_be_closed() -> None:
    one = Client("http://127.0.0.1:9", token="no")
    with pytest.raises(Unreachable, match="nothing answers"):
        await one.connect()
    assert one.state.value.connection is ConnectionPhase.OFFLINE
    assert "nothing answers" in (one.state.value.error or "")
    await one.close()


async def test_a_token_that_is_none_is_refused_without_showing_it(server: Server) -> None:
    token = "this-is-a-secret"
    one = Client(server.process.url, token=token)
    with pytest.raises(Unauthorized) as refused:
        await one.connect()
    assert token not in f"{refused.value}{one!r}{one.state.value}"
    await one.close()


async def test_a_guest_comes_in_by_the_link_of_a_room_and_not_without_one(server: Server, cid: str) -> None:
    async with client(server, "ann") as ann:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        async with Client(server.process.url, name="Zoë") as guest:
            with pytest.raises(Unauthorized, match="room"):
                await guest.rooms()
            call = await guest.join(cid)
            assert call.state.value.myself is not None
            assert (call.state.value.myself.name, call.state.value.myself.role) == ("Zoë", "guest")
            await hosting.state.until(
                lambda state: state.room is not None and len(state.room.participants) == 2, SECONDS
            )


async def test_requests_on_their_way_when_the_connection_breaks_have_one_effect(
    server: Server, cid: str
) -> None:
    async with client(server, "ann") as ann:
        call = await ann.join(cid, create=True)
        sent = [f"message {number}" for number in range(12)]
        posting = [asyncio.create_task(call.post(text)) for text in sent]
        for _ in range(3):
            await asyncio.sleep(0.005)  # wherever the requests are just then
            await cut(ann)
            await ann.state.until(lambda state: state.connection is ConnectionPhase.ONLINE, SECONDS)
        await asyncio.wait_for(asyncio.gather(*posting), SECONDS)
        page = await call.messages()
        assert sorted(message.text for message in page.messages) == sorted(sent)


async def test_what_happened_meanwhile_is_known_after_coming_back(server: Server, cid: str) -> None:
    async with client(server, "ann") as ann, client(server, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        await cut(ben)
        await hosting.post("you missed this")
        seen = await listening.state.until(
            lambda call: call.phase is CallPhase.JOINED and bool(call.room and call.room.chat), SECONDS
        )
        assert seen.room is not None
        assert hosting.state.value.room is not None
        assert seen.room.chat == hosting.state.value.room.chat
        assert list(seen.room.participants) == list(hosting.state.value.room.participants)


async def test_who_was_sent_out_while_away_learns_it_on_coming_back(server: Server, cid: str) -> None:
    async with client(server, "ann") as ann, client(server, "ben") as ben:
        hosting = await ann.join(cid, create=True)
        await hosting.go_live()
        listening = await ben.join(cid)
        session = ben._core.session
        assert isinstance(session, SfuSession)
        session._resume_token = "forgotten"
        await cut(ben)
        await hosting.block(server.ben)
        over = await listening.state.until(lambda call: call.phase is CallPhase.LEFT, SECONDS)
        assert over.left_reason
        assert ben.state.value.connection is ConnectionPhase.ONLINE
        with pytest.raises(Refused):
            await ben.join(cid)


async def test_a_server_that_ends_in_order_tells_and_its_people_keep_trying(tmp_path: Path, cid: str) -> None:
    process = await start_server_async(data_dir=str(tmp_path))
    async with client(Server(process), "ann") as ann:
        call = await ann.join(cid, create=True)
        await asyncio.to_thread(process.close)
        state = await ann.state.until(lambda state: state.reconnect_attempt >= 2, SECONDS)
        assert state.connection is ConnectionPhase.RECONNECTING
        assert state.retry_at is not None
        assert call.state.value.phase is CallPhase.RECONNECTING
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.post("nobody answers"), 0.2)


def test_no_token_is_shown_by_anything_of_a_session() -> None:
    backend = SfuBackend("http://127.0.0.1:9", token="this-is-a-secret")
    assert "secret" not in f"{backend!r}{backend.session()!r}"


async def test_a_value_that_no_server_reads_costs_one_request_and_not_the_connection(
    server: Server, cid: str
) -> None:
    async with client(server, "ann") as ann:
        call = await ann.join(cid, create=True)
        with pytest.raises(Malformed):
            await ann.ring(server.ben, metadata={"x": {"y": 1}})  # type: ignore[dict-item]  # is the point
        with pytest.raises(Malformed):
            await call.post("x" * 100_000)
        with pytest.raises(Malformed):
            await call.send_custom("drawn", line=object())  # type: ignore[arg-type]  # is the point
        assert call.state.value.phase is CallPhase.JOINED
        await call.post("still here")


async def test_one_may_come_at_once_into_as_many_rooms_as_one_may_be_in(server: Server, cid: str) -> None:
    async with client(server, "ann", allow_multiple_active_calls=True) as ann:
        for number in range(ROOMS_PER_PERSON):
            await ann.join(f"{cid}{number}", create=True)
        assert len(ann.calls) == ROOMS_PER_PERSON
        with pytest.raises(Refused, match="leave one first"):
            await ann.join(f"{cid}x", create=True)
