"""Run a server until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs
from aiohttp import web

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ids import ADMIN, UserId
from greenroom.protocol.wire import CloseCode, Goodbye, encode
from greenroom.server.access import access_rules
from greenroom.server.app import make_app
from greenroom.server.house import House
from greenroom.server.options import ServeOptions, check, on_loopback
from greenroom.server.tokens import MAX_LIFE_SECONDS, load_keys, mint
from greenroom.sfu.base import MediaEngine
from greenroom.storage.base import Repository

log = logging.getLogger(__name__)
COME_BACK_SECONDS = 1.0
DRAIN_SECONDS = 2.0
SHUTDOWN_SECONDS = 2.0


class Server:
    """A running server. Use as an async context manager; `url` is where it listens."""

    def __init__(self, options: ServeOptions) -> None:
        check(options)
        self.options = options
        self._stack = contextlib.AsyncExitStack()
        self._house: House | None = None
        self._url = ""
        self._admin_token = ""

    @property
    def url(self) -> str:
        """The address for browsers and clients."""
        return self._url

    @property
    def admin_token(self) -> str:
        """A token of this server's admin, good for a day. Keep it in memory."""
        return self._admin_token

    async def __aenter__(self) -> Server:
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def drain(self) -> None:
        """Take nobody new, and tell everybody to come back in a moment."""
        if self._house is None or self._house.draining:
            return
        self._house.draining = True
        goodbye = encode(Goodbye("the server is about to restart", COME_BACK_SECONDS))
        self._house.people.say_goodbye(goodbye, CloseCode.GOING_AWAY, "the server is about to restart")
        await self._house.people.all_gone(DRAIN_SECONDS)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        options = self.options
        directory = Path(options.data_dir or platformdirs.user_data_dir("greenroom"))
        keys = await asyncio.to_thread(load_keys, directory / "secret")
        listening = _listen(options)
        stack.callback(listening.close)
        port = listening.getsockname()[1]
        media = asyncio.create_task(_start_media(options, stack))
        try:
            repository = await _repository(options.database, directory)
        except BaseException:
            media.cancel()
            await asyncio.gather(media, return_exceptions=True)
            raise
        house = House(options, keys, repository, await media)
        stack.push_async_callback(house.close)
        await house.open()
        self._house = house
        scheme = "https" if options.tls_certificate else "http"
        local = on_loopback(options.host)
        access = access_rules(
            scheme, options.host, port, options.hosts, options.origins, any_address=not local
        )
        open_guests = local if options.open_guests is None else options.open_guests
        app = make_app(house, access, open_guests=open_guests)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=False
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(self.drain)
        await web.SockSite(runner, listening, ssl_context=_tls(options), backlog=1024).start()
        named = "127.0.0.1" if options.host in ("0.0.0.0", "::", "") else options.host
        self._url = f"{scheme}://{f'[{named}]' if ':' in named else named}:{port}"
        admin = mint(keys, UserId("admin"), time.time(), role=ADMIN, name="admin", seconds=MAX_LIFE_SECONDS)
        self._admin_token = admin.token


async def serve(
    options: ServeOptions, ready: Callable[[Server], None], stop: asyncio.Event, handle_signals: bool = True
) -> None:
    """Serve until `stop` is set, or SIGTERM or SIGINT comes. `ready` is called when newcomers are taken."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as handlers:
        if handle_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
                    loop.add_signal_handler(number, stop.set)
                    handlers.callback(loop.remove_signal_handler, number)
        async with Server(options) as server:
            ready(server)
            await stop.wait()
            await server.drain()


def run(
    options: ServeOptions, *, as_json: bool = False, ready_fd: int | None = None, parent_fd: int | None = None
) -> None:
    """Serve until told to stop; print one line when ready. Raises a `GreenroomError` when it cannot begin.

    `as_json`: the line is JSON. `ready_fd`: the descriptor of a pipe that is given the address and an admin token as
    JSON. `parent_fd`: the descriptor of a pipe whose other end a parent holds; when the parent is gone, so are we.
    """

    async def main() -> None:
        stop = asyncio.Event()
        if parent_fd is not None:
            _stop_with_parent(parent_fd, stop)
        await serve(options, lambda server: _announce(server, as_json, ready_fd), stop)

    asyncio.run(main())


def _announce(server: Server, as_json: bool, ready_fd: int | None) -> None:
    if ready_fd is not None:
        line = json.dumps({"url": server.url, "admin_token": server.admin_token, "pid": os.getpid()})
        with os.fdopen(ready_fd, "w") as pipe:
            pipe.write(line + "\n")
        return
    words = f"Greenroom is listening on {server.url}"
    print(json.dumps({"url": server.url, "pid": os.getpid()}) if as_json else words, flush=True)


def _stop_with_parent(descriptor: int, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, readable)


def _listen(options: ServeOptions) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            options.host,
            options.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG,
        )
    except OSError as error:
        raise SetUpIncomplete(f"cannot listen on '{options.host}': {error.strerror}") from None
    family, kind, protocol, _, address = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise SetUpIncomplete(
            f"cannot listen on {options.host} port {options.port}: {error.strerror}; choose another --port"
        ) from None
    listening.setblocking(False)
    return listening


async def _repository(database: str, directory: Path) -> Repository:
    def load() -> Repository:
        from greenroom.storage.sql import (
            SqlRepository,
            sqlite_url,
        )  # takes a second, while the media workers start

        return SqlRepository(database or sqlite_url(directory / "greenroom.db"))

    return await asyncio.to_thread(load)


async def _start_media(options: ServeOptions, stack: contextlib.AsyncExitStack) -> MediaEngine | None:
    if options.media_workers == 0:
        return None
    from greenroom.sfu.pool import MediaPool  # only servers with sound need it

    pool = MediaPool(options.media_workers, host=options.host, announce=options.media_announce or None)
    await pool.start()
    stack.push_async_callback(pool.close)
    return pool


def _tls(options: ServeOptions) -> ssl.SSLContext | None:
    if not options.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls_certificate, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SetUpIncomplete(
            f"cannot use the TLS files: {error.strerror or 'they do not fit together'}"
        ) from None
    return context
