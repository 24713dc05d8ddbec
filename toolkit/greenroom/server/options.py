"""What a server is started with."""

from __future__ import annotations

import shlex
from ipaddress import ip_address

import msgspec

from greenroom.errors import SetUpIncomplete
from greenroom.protocol.ice import TURN_SECONDS

DEFAULT_PORT = 7700


class ServeOptions(msgspec.Struct, frozen=True):
    """How to serve. Port 0 lets the system choose.

    `database`: a SQLAlchemy URL; empty is SQLite in `data_dir`. `data_dir`: where secret and database are; empty is
    the user's data directory. `media_workers` 0 is a server without sound. `media_announce`: the address in media
    answers, when `host` is not reachable itself. `hosts`: names, with port unless it is the server's own, under
    which browsers may reach it beyond the loopback ones. `origins`: other pages that may use it, e.g.
    `https://example.org`. `open_guests`: whether anybody with a room's link may come in as a guest; None is yes on
    loopback only. `stun` and `turn`: servers that clients are told of, HOST:PORT; `turn_secret_file`: the secret shared
    with the TURN servers; `turn_seconds`: how long its credentials are good for. `push_command`: a program and its
    arguments, run for each ring and missed call of somebody who is not connected; `push_webhook`: an address told the
    same, signed with the secret in `push_secret_file`.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    database: str = ""
    data_dir: str = ""
    media_workers: int = 1
    media_announce: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    insecure: bool = False
    open_guests: bool | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    grace_seconds: float = 30.0
    resume_seconds: float = 120.0
    stun: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    turn_secret_file: str = ""
    turn_seconds: float = TURN_SECONDS
    push_command: tuple[str, ...] = ()
    push_webhook: str = ""
    push_secret_file: str = ""


def on_loopback(host: str) -> bool:
    """Tell whether nobody beyond this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def command_words(command: str) -> tuple[str, ...]:
    """Return a command's words as a shell would split them; there is no shell. Raises `SetUpIncomplete` for open quotes."""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise SetUpIncomplete(f"--push-command cannot be read: {str(error).lower()}") from None


def check(options: ServeOptions) -> None:
    """Raise `SetUpIncomplete` when `options` would serve people unsafely or cannot hold together."""
    if bool(options.tls_certificate) != bool(options.tls_key):
        raise SetUpIncomplete("TLS needs both files: --tls-certificate and --tls-key")
    if not (on_loopback(options.host) or options.tls_certificate or options.insecure):
        raise SetUpIncomplete(
            f"{options.host} can be reached by others, and browsers give no microphone to a page without TLS; "
            "name --tls-certificate and --tls-key, or say --insecure to serve without"
        )
    if not 0 <= options.port <= 65535:
        raise SetUpIncomplete(f"{options.port} is not a port; use 0 (any free one) to 65535")
    if options.media_workers < 0:
        raise SetUpIncomplete("--media-workers must be 0 or more")
