"""A Greenroom server as a backend: one WebSocket that comes back by itself, and media over WebRTC."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import msgspec

from greenroom.backends.base import IceTransport, Link, LinkChanged, Listener
from greenroom.backends.pending import Outcome, Pending
from greenroom.errors import GreenroomError, Malformed, Refused, Unauthorized, Unreachable
from greenroom.media.aiortc_private import LOOPBACK_ADDRESS
from greenroom.media.connection import MediaConnection
from greenroom.media.peer_to_peer import DirectConnection
from greenroom.media.sources import AudioSource
from greenroom.policies.reconnect import next_attempt
from greenroom.protocol.ice import IceServer
from greenroom.protocol.ids import Cid, OpId, UserId
from greenroom.protocol.peers import PeerSignal
from greenroom.protocol.requests import Join, Leave, Request
from greenroom.protocol.wire import (
    DEAD_AFTER_SECONDS,
    HEARTBEAT_SECONDS,
    PROTOCOL_VERSION,
    Answer,
    AnswerBody,
    Ask,
    Attach,
    Attached,
    Authenticate,
    CloseCode,
    Do,
    Done,
    Emit,
    Failed,
    FromClient,
    FromServer,
    Goodbye,
    Ping,
    Pong,
    Question,
    Removed,
    Resume,
    Signal,
    Sync,
    ToPeer,
    WatchRooms,
    Welcome,
    decode_from_server,
    encode,
    encode_from_client,
)
from greenroom.state.audio import EffectiveAudio

OPEN_SECONDS = 10.0
ANSWER_SECONDS = 30.0
MAX_FROM_SERVER_BYTES = 16 * 1024 * 1024
CLIENT_NAME = "greenroom-python"
_FINAL = {CloseCode.FORBIDDEN, CloseCode.REPLACED, CloseCode.UNSUPPORTED_VERSION, CloseCode.MALFORMED}

log = logging.getLogger(__name__)


class SfuBackend:
    """The way into a server. Without a `token`, as a guest called `name`, by the link of a room.

    `tls_ca` is a file of certificates (PEM) to trust besides the system's. With `ice_transport="relay"` sound that goes
    straight to another person takes a relay (TURN), so that they do not learn our address.
    """

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        name: str = "",
        tls_ca: str | None = None,
        ice_transport: IceTransport = "all",
    ) -> None:
        self.server = server.rstrip("/")
        self._token = token
        self._name = name
        self._relayed_only = ice_transport == "relay"
        self._tls: ssl.SSLContext | bool = True
        if tls_ca is not None:
            self._tls = ssl.create_default_context(cafile=tls_ca)

    def __repr__(self) -> str:
        return f"SfuBackend({self.server!r})"

    @property
    def needs_room(self) -> bool:
        return self._token is None

    def session(self, cid: Cid | None = None) -> SfuSession:
        return SfuSession(self.server, self._token, self._name, cid, self._tls, self._relayed_only)


class SfuSession:
    """One person's connection to a server, over as many WebSockets as it takes, one at a time."""

    def __init__(
        self,
        server: str,
        token: str | None,
        name: str,
        cid: Cid | None,
        tls: ssl.SSLContext | bool,
        relayed_only: bool = False,
    ) -> None:
        self._server = server
        self._token = token
        self._name = name
        self._guest_of = cid
        self._tls = tls
        self._relayed_only = relayed_only
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._listener: Listener | None = None
        self._running: asyncio.Task[None] | None = None
        self._pending = Pending()
        self._joined: dict[Cid, None] = {}
        self._watching = False
        self._resume_token = ""
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._retry_at_least = 0.0
        self._over = "this session is not open"

    # ---- what the engine asks

    async def open(self, listener: Listener) -> Welcome:
        self._listener = listener
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls), timeout=aiohttp.ClientTimeout(total=OPEN_SECONDS)
        )
        welcome = await self._connect()
        self._over = ""
        self._running = asyncio.create_task(self._keep(), name="a session with a server")
        return welcome

    async def do(self, cid: Cid, request: Request) -> None:
        if isinstance(request, Leave):
            self._joined.pop(cid, None)
        await self._ask_once(Do(_operation(), cid, request))

    async def ask(self, question: Question) -> AnswerBody:
        return cast(AnswerBody, await self._ask_once(Ask(_operation(), question)))

    async def attach(self, cid: Cid, offer: str) -> str:
        return str(await self._ask_once(Attach(_operation(), cid, offer)))

    def emit(self, cid: Cid, signal: Signal) -> None:
        self._send_soon(Emit(cid, signal))

    def tell_peer(self, cid: Cid, to: UserId, signal: PeerSignal) -> None:
        self._send_soon(ToPeer(cid, to, signal))

    def sync(self, cid: Cid, epoch: int, seq: int) -> None:
        self._send_soon(Sync(cid, epoch, seq))

    def watch_rooms(self, on: bool) -> None:
        self._watching = on
        self._send_soon(WatchRooms(on))

    def media(
        self, cid: Cid, source: AudioSource, on_dead: Callable[[str], None], audio: EffectiveAudio
    ) -> MediaConnection:
        return MediaConnection(source=source, on_dead=on_dead, audio=audio)

    def direct(
        self,
        partner: int,
        source: AudioSource,
        audio: EffectiveAudio,
        ice_servers: Sequence[IceServer],
        on_candidate: Callable[[str], None],
        on_dead: Callable[[str], None],
    ) -> DirectConnection:
        return DirectConnection(
            source=source,
            partner=partner,
            hosts=(LOOPBACK_ADDRESS,) if _on_this_machine(self._server) else None,
            ice_servers=ice_servers,
            relayed_only=self._relayed_only,
            on_candidate=on_candidate,
            on_dead=on_dead,
            audio=audio,
        )

    async def close(self) -> None:
        self._over = "this session is closed"
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await self._hang_up()
        self._pending.fail(self._over)
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    # ---- one connection

    async def _connect(self) -> Welcome:
        """Open a WebSocket and say who we are. Raises `Unreachable` or `Unauthorized`."""
        if self._http is None:
            raise Unreachable(self._over)
        if self._token is None:
            self._token = await self._guest_token()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._socket = await self._http.ws_connect(
                    f"{self._server}/ws", max_msg_size=MAX_FROM_SERVER_BYTES, heartbeat=None
                )
                return await self._introduce(self._socket)
        except TimeoutError:
            await self._hang_up()
            raise Unreachable(f"{self._server} did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            await self._hang_up()
            raise Unreachable(_unreachable(self._server, error)) from None
        except GreenroomError:
            await self._hang_up()
            raise

    async def _introduce(self, socket: aiohttp.ClientWebSocketResponse) -> Welcome:
        if self._resume_token:
            seen = {} if self._listener is None else dict(self._listener.seen())
            await self._send(Resume(PROTOCOL_VERSION, self._resume_token, seen))
        else:
            await self._send(Authenticate(PROTOCOL_VERSION, self._token or "", CLIENT_NAME, self._name))
        while True:
            message = await self._receive(socket)
            match message:
                case Welcome():
                    self._resume_token = message.resume_token
                    self._heartbeat_seconds = message.heartbeat_seconds
                    return message
                case Goodbye(reason, retry_seconds):
                    self._retry_at_least = retry_seconds or 0.0
                    if retry_seconds is not None:
                        raise Unreachable(reason)
                    raise Unauthorized(reason)
                case None if socket.close_code in (None, CloseCode.GOING_AWAY, 1000, 1006, 1012):
                    raise Unreachable(f"{self._server} closed the connection")
                case None:
                    raise Unauthorized("the server did not let us in")
                case _:
                    pass

    async def _guest_token(self) -> str:
        if self._http is None or self._guest_of is None:
            raise Unauthorized("without a token a room has to be named, as a guest comes in by its link")
        try:
            body = {"cid": self._guest_of, "name": self._name}
            async with self._http.post(f"{self._server}/api/guest", json=body) as response:
                raw = await response.read()
                if response.status >= 500 or response.status == 429:
                    raise Unreachable(f"{self._server} cannot let guests in just now")
                answer = msgspec.json.decode(raw, type=_GuestAnswer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(_unreachable(self._server, error)) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise Unreachable(f"{self._server} is not a Greenroom server") from None
        if not answer.token:
            raise Unauthorized(answer.message or "this server lets no guests in; ask for a token")
        return answer.token

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> FromServer | None:
        """Return the next message, or None when the connection is over."""
        try:
            frame = await socket.receive(timeout=DEAD_AFTER_SECONDS)
        except TimeoutError:
            return None  # it answers no heartbeat: the line is dead, whatever TCP believes
        if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return decode_from_server(frame.data)
        return None

    async def _send(self, message: FromClient) -> None:
        socket = self._socket
        if socket is None or socket.closed:
            return
        with contextlib.suppress(ConnectionError, aiohttp.ClientError, RuntimeError):
            await socket.send_str(encode(message).decode())

    def _send_soon(self, message: FromClient) -> None:
        """Send what may be lost with the connection. Raises `Malformed` for what a server would not read."""
        encode_from_client(message)
        task = asyncio.get_running_loop().create_task(self._send(message))
        _background.add(task)
        task.add_done_callback(_background.discard)

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(2.0):
                    await socket.close()

    # ---- all connections

    async def _ask_once(self, message: Do | Ask | Attach) -> Outcome:
        if self._over:
            raise Unreachable(self._over)
        encode_from_client(message)  # refused here it harms nobody; there it would end every call
        answered = self._pending.add(message)
        await self._send(message)
        try:
            # Not `wait_for`: until Python 3.12 it forgets a cancellation that comes together with the answer.
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answered
        except TimeoutError:
            raise Unreachable(f"{self._server} did not answer within {ANSWER_SECONDS:g} s") from None
        finally:
            self._pending.drop(message.op)

    async def _keep(self) -> None:
        """Listen, and connect again whenever the connection is lost, until it is over for good."""
        try:
            while True:
                final = await self._listen()
                await self._hang_up()
                if final is None:
                    final = await self._reconnect()
                if final is not None:
                    self._finish(final)
                    return
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a session ended unexpectedly")
            self._finish("the connection ended because of a fault in this program")

    async def _listen(self) -> str | None:
        """Take what the server sends; return why it is over for good, or None when it was only lost."""
        socket = self._socket
        if socket is None:
            return None
        beating = asyncio.create_task(self._beat(socket))
        final: str | None = None
        try:
            while True:
                try:
                    message = await self._receive(socket)
                except Malformed as error:
                    log.warning("%s", error)
                    continue
                if message is None:
                    break
                if isinstance(message, Goodbye):
                    self._retry_at_least = message.retry_seconds or 0.0
                    final = message.reason if message.retry_seconds is None else None
                    continue
                self._take(message)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        if socket.close_code in _FINAL:
            return final or _CLOSED.get(socket.close_code or 0, "the server ended the connection")
        return None if socket.close_code in (CloseCode.NOT_READING, CloseCode.TOO_FAST) else final

    def _take(self, message: FromServer) -> None:
        match message:
            case Done() | Failed() | Answer() | Attached():
                asked = self._pending.answer(message)
                if isinstance(asked, Do) and isinstance(asked.request, Join) and isinstance(message, Done):
                    self._joined[asked.cid] = None
            case Pong():
                pass
            case _:
                if isinstance(message, Removed):
                    self._joined.pop(message.cid, None)
                if self._listener is not None:
                    self._listener.received(message)

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            await self._send(Ping(time.time()))

    async def _reconnect(self) -> str | None:
        """Connect again, as often as it takes; return why that will never succeed, or None when it did."""
        attempt = 0
        while True:
            delay = max(next_attempt(attempt, random.random()), self._retry_at_least if attempt == 0 else 0.0)
            attempt += 1
            if self._listener is not None:
                retry_at = time.time() + delay
                self._listener.link_changed(LinkChanged(Link.RECONNECTING, attempt, retry_at))
            await asyncio.sleep(delay)
            try:
                await self._come_back(await self._connect())
                return None
            except Unauthorized as error:
                if not self._resume_token:
                    return str(error)
                self._resume_token = ""  # it has forgotten us: come in with the token, and join again
            except (Unreachable, Malformed) as error:
                log.info("no connection yet: %s", error)

    async def _come_back(self, welcome: Welcome) -> None:
        """Tell the engine, join what the server has let go of, and send again what was not answered, in this order."""
        if self._listener is not None:
            self._listener.link_changed(LinkChanged(Link.ONLINE))
            self._listener.received(welcome)
        unanswered = self._pending.to_send_again()
        for cid in tuple(self._joined):
            if cid not in welcome.resumed:
                join = Do(_operation(), cid, Join())
                self._pending.add(join).add_done_callback(partial(self._joined_again, cid))
                await self._send(join)
        if self._watching:
            await self._send(WatchRooms(True))
        for message in unanswered:
            await self._send(message)

    def _joined_again(self, cid: Cid, answered: asyncio.Future[Outcome]) -> None:
        error = None if answered.cancelled() else answered.exception()
        if (
            isinstance(error, Refused)
            and self._joined.pop(cid, _NOT_IN) is None
            and self._listener is not None
        ):
            self._listener.received(Removed(cid, str(error)))

    def _finish(self, reason: str) -> None:
        self._over = reason
        self._pending.fail(reason)
        if self._listener is not None:
            self._listener.link_changed(LinkChanged(Link.OFFLINE, reason=reason))


class _GuestAnswer(msgspec.Struct):
    token: str = ""
    message: str = ""


def _on_this_machine(server: str) -> bool:
    """Tell whether whoever can reach `server` is on this machine too."""
    host = urlsplit(server).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _operation() -> OpId:
    return OpId(secrets.token_urlsafe(12))


def _unreachable(server: str, error: BaseException) -> str:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status == 503:
            return f"{server} is about to restart"
        return f"{server} refused the connection (HTTP {error.status}); is that a Greenroom server?"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"{server} has a certificate that is not trusted; name its authority"
    return f"nothing answers at {server}; start a server there, or check the address"


_NOT_IN = object()
_CLOSED = {
    CloseCode.REPLACED: "you came in from somewhere else",
    CloseCode.FORBIDDEN: "the server does not let you in any more",
    CloseCode.UNSUPPORTED_VERSION: "the server speaks another version; update this program",
}
_background: set[asyncio.Task[None]] = set()
