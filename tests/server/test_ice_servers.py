"""ICE servers with expiring credentials: what the server says, and what Debian's coturn takes and refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import TurnTransport, create_turn_endpoint

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ice import IceServer, IceServers, QueryIceServers
from greenroom.protocol.ids import ANONYMOUS, UserId
from greenroom.protocol.wire import Answer, Failed
from greenroom.server.coturn import coturn_config, write_coturn
from greenroom.server.ice_servers import IceDesk, ice_desk, server_url, turn_credential
from tests.server.guest import CID, serving, token_for, visiting
from tests.turn import Turn, relaying

HOUR = 3600


class Ear(asyncio.DatagramProtocol):
    """Hears datagrams."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.put_nowait(data)


@asynccontextmanager
async def allocated(turn: Turn, username: str, password: str) -> AsyncIterator[tuple[TurnTransport, Ear]]:
    """Yield a relayed transport. Raises `TransactionFailed` when the relay does not take the credential."""
    transport, ear = await create_turn_endpoint(
        Ear, server_addr=(turn.host, turn.port), username=username, password=password
    )
    assert isinstance(transport, TurnTransport)
    try:
        yield transport, ear
    finally:
        transport.close()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[tuple[str, int], Ear]]:
    loop = asyncio.get_running_loop()
    transport, ear = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[:2], ear
    finally:
        transport.close()


def test_the_credential_is_what_the_scheme_says() -> None:
    # openssl: printf '%s' '1700000000:bo' | openssl dgst -sha1 -hmac north -binary | base64
    assert turn_credential("north", "bo", 1_700_000_000) == ("1700000000:bo", "m7VHBEgPJRWTE9PJfR6/RTlyoeA=")


def test_a_desk_without_servers_names_none_so_that_nothing_waits() -> None:
    assert ice_desk((), (), "", HOUR).servers(UserId("bo"), 0.0) == IceServers()


def test_credentials_last_a_day_at_most() -> None:
    desk = IceDesk(("stun.example.org",), ("turn.example.org:3478",), "s" * 32, 1e9)
    given = desk.servers(UserId("bo"), 1000.0)
    assert given.expires_at == 1000 + 24 * 3600
    assert given.relayed
    stun, turn = given.servers
    assert stun == IceServer(("stun:stun.example.org",))
    assert (turn.urls, turn.username) == (("turn:turn.example.org:3478",), f"{1000 + 24 * 3600}:bo")
    assert turn.credential is not None
    assert turn.credential not in repr(given)
    assert "s" * 32 not in repr(desk)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("relay.example.org", "turn:relay.example.org", id="a name"),
        pytest.param("127.0.0.1:3478", "turn:127.0.0.1:3478", id="an address and a port"),
        pytest.param("[::1]:3478", "turn:[::1]:3478", id="IPv6"),
        pytest.param("turns:a.example:5349?transport=tcp", "turns:a.example:5349?transport=tcp", id="a URL"),
    ],
)
def test_a_server_may_be_named_by_address_or_url(text: str, url: str) -> None:
    assert server_url(text, "turn") == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a b",
        "a:0",
        "a:70000",
        "a:b",
        "-a",
        "http://a",
        "[::zz]:1",
        "a?transport=sctp",
        "a?x=1",
        "a\n",
        "a,b",
    ],
)
def test_what_is_no_server_is_refused_in_words(text: str) -> None:
    with pytest.raises(SetUpIncomplete, match="TURN server"):
        server_url(text, "turn")


def test_a_secret_must_be_private_long_and_there(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    turn = ("127.0.0.1:3478",)
    with pytest.raises(SetUpIncomplete, match="cannot read"):
        ice_desk((), turn, str(file), HOUR)
    file.touch(mode=0o600)
    for text, mode, words in (
        ("", 0o600, "at least 16"),
        ("short", 0o600, "at least 16"),
        ("ä" * 40, 0o600, "ASCII"),
        ("x" * 40, 0o644, "chmod 600"),
    ):
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        with pytest.raises(SetUpIncomplete, match=words):
            ice_desk((), turn, str(file), HOUR)
    file.chmod(0o600)
    assert ice_desk((), turn, str(file), HOUR).servers(UserId("bo"), 0.0).relayed
    for options in (
        (turn, "", HOUR),
        ((), str(file), HOUR),
        (turn, str(file), 10.0),
        (turn, str(file), 90_000.0),
    ):
        with pytest.raises(SetUpIncomplete):
            ice_desk((), *options)


async def test_people_are_told_of_the_servers_and_listeners_are_not(tmp_path: Path) -> None:
    secret = tmp_path / "turn-secret"
    secret.touch(mode=0o600)
    secret.write_text("north" * 8)
    options = {"stun": ("127.0.0.1:3478",), "turn": ("127.0.0.1:3478",), "turn_secret_file": str(secret)}
    async with serving(tmp_path, **options) as server, visiting(server.url) as visit:
        bo = await visit.enter(token_for(tmp_path, "bo"))
        answer = await bo.ask(QueryIceServers())
        assert isinstance(answer, Answer)
        assert isinstance(answer.body, IceServers)
        assert answer.body.expires_at is not None
        assert 0 < answer.body.expires_at - time.time() <= HOUR
        relay = answer.body.servers[1]
        assert (relay.username, relay.credential) == turn_credential(
            "north" * 8, "bo", int(answer.body.expires_at)
        )
        listener = await visit.enter(token_for(tmp_path, "lo", role=ANONYMOUS, bound_to=CID))
        assert isinstance(await listener.ask(QueryIceServers()), Failed)


async def test_coturn_takes_what_we_made_and_neither_what_is_old_nor_what_is_forged(tmp_path: Path) -> None:
    async with relaying(tmp_path) as turn:
        desk = ice_desk((), (turn.address,), str(turn.secret_file), HOUR)
        server = desk.servers(UserId("bo"), time.time()).servers[0]
        assert server.username is not None
        assert server.credential is not None
        async with (
            allocated(turn, server.username, server.credential) as (sending, hearing),
            listening() as (
                address,
                ear,
            ),
        ):
            sending.sendto(b"through the relay", address)
            async with asyncio.timeout(5.0):
                assert await ear.heard.get() == b"through the relay"
            assert hearing.heard.empty()
        old = turn_credential(turn.secret, "bo", int(time.time()) - 60)
        forged = turn_credential("another secret of some length", "bo", int(time.time()) + HOUR)
        raised = (f"{int(time.time()) + 9 * HOUR}:bo", server.credential)
        for username, password in (old, forged, raised):
            with pytest.raises(TransactionFailed, match="401"):
                async with allocated(turn, username, password):
                    pass


async def test_the_configuration_we_ship_relays_to_no_private_address(tmp_path: Path) -> None:
    secret = "n" * 64
    async with relaying(
        tmp_path, coturn_config("127.0.0.1", secret).replace("listening-port=3478\n", ""), secret
    ) as turn:
        username, password = turn_credential(secret, "bo", int(time.time()) + HOUR)
        async with allocated(turn, username, password) as (sending, _), listening() as (address, ear):
            inner = sending._TurnTransport__inner_protocol  # type: ignore[attr-defined]  # what aioice binds peers with
            for peer in (address, ("10.0.0.1", 9), ("169.254.169.254", 80), ("192.168.1.1", 53)):
                with pytest.raises(TransactionFailed, match="403"):
                    await inner.channel_bind(0x4000, peer)
            assert ear.heard.empty()


def test_a_configuration_is_written_once_and_for_its_owner_only(tmp_path: Path) -> None:
    config, secret = write_coturn(tmp_path / "turn", "turn.example.org")
    assert [file.stat().st_mode & 0o777 for file in (config, secret)] == [0o600, 0o600]
    assert f"static-auth-secret={secret.read_text().strip()}\n" in config.read_text()
    assert ice_desk((), ("turn.example.org",), str(secret), HOUR).servers(UserId("bo"), 0.0).relayed
    with pytest.raises(SetUpIncomplete, match="there already"):
        write_coturn(tmp_path / "turn", "turn.example.org")
    with pytest.raises(SetUpIncomplete, match="not a TURN server"):
        write_coturn(tmp_path / "other", "a\nno-auth")
