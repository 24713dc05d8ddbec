"""STUN and TURN servers for clients, with credentials that expire: coturn's shared-secret scheme.

The user name is `expiry:user`, the password the base64 of its HMAC-SHA-1 under a secret both servers know
(draft-uberti-behave-turn-rest-00, section 2.2; coturn's `use-auth-secret`).
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import b64encode
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ice import MAX_TURN_SECONDS, IceServer, IceServers
from greenroom.protocol.ids import ANONYMOUS, UserId
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.server.people import Person

MIN_SECRET_CHARACTERS = 16
MAX_SECRET_FILE_BYTES = 4_096
_HOST_PORT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,252}))(:(?P<port>\d{1,5}))?"
)
_TRANSPORTS = ("udp", "tcp")


def turn_credential(secret: str, user: str, expires_at: int) -> tuple[str, str]:
    """Return the user name and password that a TURN server with `secret` takes until `expires_at` (seconds since 1970)."""
    username = f"{expires_at}:{user}"
    return username, b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def server_url(text: str, scheme: str) -> str:
    """Return `text` as a STUN or TURN URL (RFC 7064, RFC 7065): HOST, HOST:PORT, or one that is a URL already.

    `scheme` is `stun` or `turn`; `turns:` (TLS) and `?transport=tcp` are kept. Raises `SetUpIncomplete` for anything else.
    """
    named, rest = scheme, text
    for known in (scheme, f"{scheme}s"):
        if text.startswith(f"{known}:"):
            named, rest = known, text.removeprefix(f"{known}:")
    address, _, query = rest.partition("?")
    found = _HOST_PORT.fullmatch(address)
    transport = query.removeprefix("transport=")
    wrong_query = bool(query) and (
        scheme == "stun" or f"transport={transport}" != query or transport not in _TRANSPORTS
    )
    if found is None or wrong_query or not 0 < int(found["port"] or 1) <= 65535:
        raise SetUpIncomplete(f"{text[:80]!a} is not a {scheme.upper()} server; write HOST or HOST:PORT")
    if found["host"].startswith("["):
        try:
            ip_address(found["host"][1:-1])
        except ValueError:
            raise SetUpIncomplete(
                f"{text[:80]!a} is not a {scheme.upper()} server; write HOST:PORT"
            ) from None
    return f"{named}:{rest}"


def read_secret(file: str, what: str) -> str:
    """Return the secret in `file`, without the line break at its end. Raises `SetUpIncomplete` when it cannot serve."""
    path = Path(file)
    try:
        with path.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            secret = opened.read(MAX_SECRET_FILE_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        raise SetUpIncomplete(f"cannot read the {what} in {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SetUpIncomplete(f"the {what} in {file} must be plain ASCII text") from None
    if os.name == "posix" and mode & 0o077:
        raise SetUpIncomplete(f"{file} can be read by others; run: chmod 600 {file}")
    if not MIN_SECRET_CHARACTERS <= len(secret) <= MAX_SECRET_FILE_BYTES or not secret.isprintable():
        raise SetUpIncomplete(
            f"the {what} in {file} must be one line of at least {MIN_SECRET_CHARACTERS} characters; "
            "make one with: openssl rand -hex 32"
        )
    return secret


class IceDesk:
    """What this server tells clients about STUN and TURN. Empty unless it was started with some."""

    def __init__(self, stun: Iterable[str], turn: Iterable[str], secret: str, seconds: float) -> None:
        self._stun = tuple(server_url(one, "stun") for one in stun)
        self._turn = tuple(server_url(one, "turn") for one in turn)
        self._secret = secret
        self._seconds = min(seconds, MAX_TURN_SECONDS)

    def __repr__(self) -> str:
        return f"IceDesk(stun={self._stun!r}, turn={self._turn!r}, secret=…)"

    def answer(self, person: Person) -> IceServers | Refusal:
        """Return the servers, with credentials for `person`; who only listens has no use for them."""
        if person.actor.role == ANONYMOUS:
            return Refusal(
                Reason.UNAUTHORIZED, "listeners are served by the forwarding unit; they need no relay"
            )
        return self.servers(person.user, time.time())

    def servers(self, user: UserId, now: float) -> IceServers:
        """Return the servers, with credentials that `user` may use from `now` (wall clock) on, for 24 hours at most."""
        servers = [IceServer(self._stun)] if self._stun else []
        if not self._turn:
            return IceServers(tuple(servers))
        expires_at = int(now + self._seconds)
        username, credential = turn_credential(self._secret, user, expires_at)
        servers.append(IceServer(self._turn, username, credential))
        return IceServers(tuple(servers), float(expires_at))


def ice_desk(stun: tuple[str, ...], turn: tuple[str, ...], secret_file: str, seconds: float) -> IceDesk:
    """Return the desk for a server's options. Raises `SetUpIncomplete` when they do not hold together."""
    if bool(turn) != bool(secret_file):
        raise SetUpIncomplete("a TURN server needs both: --turn HOST:PORT and --turn-secret-file")
    if not 60.0 <= seconds <= MAX_TURN_SECONDS:
        raise SetUpIncomplete("--turn-seconds must be from 60 to 86400, a day")
    return IceDesk(stun, turn, read_secret(secret_file, "TURN secret") if secret_file else "", seconds)
