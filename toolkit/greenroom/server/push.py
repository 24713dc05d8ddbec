"""Telling who is not connected: a command of the operator's, or a signed webhook, learns of rings and missed calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ids import UserId
from greenroom.protocol.push import (
    DELIVERY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    PushNotice,
    PushType,
    notice,
    sign_push,
)
from greenroom.protocol.ringing import Ring, missed_by
from greenroom.server.ice_servers import read_secret
from greenroom.server.options import ServeOptions, on_loopback

if TYPE_CHECKING:
    from greenroom.server.house import House

log = logging.getLogger(__name__)
AT_ONCE = 4
MAX_WAITING = 200
COMMAND_SECONDS = 10.0
WEBHOOK_SECONDS = 10.0
RETRY_AFTER_SECONDS = (1.0, 5.0)
END_SECONDS = 2.0
Deliver = Callable[[PushNotice], Awaitable[None]]


class NotDelivered(Exception):
    """A notice did not get through. `passing`: another try may."""

    def __init__(self, words: str, *, passing: bool) -> None:
        super().__init__(words)
        self.passing = passing


class Push:
    """Notices on their way out: four at once, two hundred waiting at most; what is more is dropped and said so.

    A `deliver` raises `NotDelivered`. A ring that is over by the time it could be told is not told.
    """

    def __init__(
        self, *deliver: Deliver, retry_after_seconds: tuple[float, ...] = RETRY_AFTER_SECONDS
    ) -> None:
        self._deliver = deliver
        self._retry_after = retry_after_seconds
        self._waiting: asyncio.Queue[tuple[Deliver, PushNotice]] = asyncio.Queue(MAX_WAITING)
        self._workers: list[asyncio.Task[None]] = []
        self._dropped = 0

    def follow(self, house: House) -> None:
        """Tell of what rings for people who are not connected to `house`, and of what they missed."""
        if not self._deliver:
            return

        def changed(before: Ring | None, after: Ring) -> None:
            for user in missed_by(before, after):
                person = house.people.get(user)
                if person is None or person.line is None:
                    self.tell(PushType.MISSED_CALL, after, user)

        house.ringing.on_unreachable(lambda ring, user: self.tell(PushType.RING, ring, user))
        house.ringing.on_change(changed)

    def tell(self, type: PushType, ring: Ring, user: UserId) -> None:
        """Tell of `ring` some time soon. Never waits, never raises."""
        if self._deliver and not self._workers:
            self._workers = [asyncio.create_task(self._work(), name="push") for _ in range(AT_ONCE)]
        told = notice(secrets.token_hex(8), type, ring, user)
        for deliver in self._deliver:
            try:
                self._waiting.put_nowait((deliver, told))
            except asyncio.QueueFull:
                self._dropped += 1
                if self._dropped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th …: a flood fills no log
                    log.warning("push cannot keep up; %d notices were dropped", self._dropped)

    async def close(self) -> None:
        """Give what is under way a moment, then stop; twice is quiet."""
        workers, self._workers = self._workers, []
        if workers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._waiting.join()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            deliver, told = await self._waiting.get()
            try:
                await self._try(deliver, told)
            except Exception as error:  # one notice must not end them all
                log.warning("a push notice failed unexpectedly: %s", type(error).__name__)
            finally:
                self._waiting.task_done()

    async def _try(self, deliver: Deliver, told: PushNotice) -> None:
        for wait in (*self._retry_after, None):
            if told.expires_at is not None and time.time() >= told.expires_at:
                return
            try:
                await deliver(told)
                return
            except NotDelivered as error:
                if wait is None or not error.passing:
                    log.warning("a push notice was not delivered: %s", error)
                    return
            await asyncio.sleep(wait)


def command_delivery(argv: tuple[str, ...], timeout_seconds: float = COMMAND_SECONDS) -> Deliver:
    """Return what runs a command for each notice, without a shell: the notice is JSON on its standard input.

    What the command prints is not kept. One that takes too long is ended, with what it started. Raises `SetUpIncomplete`
    when there is no such command.
    """
    program = shutil.which(argv[0]) if argv else None
    if program is None:
        raise SetUpIncomplete("--push-command names no program that can be run here")

    async def deliver(told: PushNotice) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *argv[1:],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=kept,
                start_new_session=True,
            )
        except OSError as error:
            raise NotDelivered(f"the command cannot be run: {error.strerror}", passing=False) from None
        try:
            async with asyncio.timeout(timeout_seconds):
                await process.communicate(msgspec.json.encode(told) + b"\n")
        except TimeoutError:
            raise NotDelivered(f"the command took longer than {timeout_seconds:g} s", passing=False) from None
        finally:
            if process.returncode is None:
                _end_group(process.pid)
                await process.wait()
        if process.returncode:
            raise NotDelivered(f"the command ended with {process.returncode}", passing=False)

    return deliver


def webhook_delivery(url: str, secret: str, timeout_seconds: float = WEBHOOK_SECONDS) -> Deliver:
    """Return what posts each notice to `url`, signed with `secret`. It follows no redirect.

    Raises `SetUpIncomplete` unless `url` is https, or http to this machine.
    """
    check_webhook(url)

    async def deliver(told: PushNotice) -> None:
        body, timestamp = msgspec.json.encode(told), int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "greenroom",
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign_push(secret, timestamp, body),
            DELIVERY_HEADER: told.id,
        }
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(resolver=_NowhereNear()),
                    timeout=aiohttp.ClientTimeout(total=timeout_seconds),
                    trust_env=False,
                ) as http,
                http.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotDelivered(
                f"the webhook cannot be reached ({type(error).__name__})", passing=True
            ) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"the webhook answered {status}", passing=status >= 500 or status == 429)

    return deliver


def check_webhook(url: str) -> None:
    """Raise `SetUpIncomplete` unless `url` is one that notices may be posted to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise SetUpIncomplete("--push-webhook is not an address") from None
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise SetUpIncomplete(
            "--push-webhook takes an address such as https://example.org/hook, without a password"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback(host)):
        raise SetUpIncomplete("--push-webhook must be https; http is for this machine only")
    if _forbidden(host):
        raise SetUpIncomplete("--push-webhook must not be a link-local or multicast address")


def push_for(options: ServeOptions) -> Push:
    """Return what a server's options ask for. Raises `SetUpIncomplete` when they do not hold together."""
    if bool(options.push_webhook) != bool(options.push_secret_file):
        raise SetUpIncomplete("a webhook needs both: --push-webhook and --push-secret-file to sign with")
    deliver: list[Deliver] = []
    if options.push_command:
        deliver.append(command_delivery(options.push_command))
    if options.push_webhook:
        secret = read_secret(options.push_secret_file, "push secret")
        deliver.append(webhook_delivery(options.push_webhook, secret))
    return Push(*deliver)


class _NowhereNear(AbstractResolver):
    """Resolves names, but to no address of this network segment: where clouds keep their machines' credentials."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [one for one in await self._inner.resolve(host, port, family) if not _forbidden(one["host"])]
        if not found:
            raise OSError(None, "that name leads to no address that may be used")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _forbidden(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
