"""How a command comes in: with the token that was given, or with one this machine's own server would give."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from greenroom.cli.config import Config
from greenroom.errors import GreenroomError, SetUpIncomplete, Unauthorized, Unreachable
from greenroom.protocol.ids import ADMIN, USER, Role, UserId
from greenroom.server.options import on_loopback
from greenroom.server.tokens import load_keys, mint

if TYPE_CHECKING:
    from greenroom.engine.client import Client
    from greenroom.media.audio_session import AudioSession
    from greenroom.media.sinks import AudioSink
    from greenroom.media.sources import AudioSource

_TOKEN_SECONDS = 3600.0


def user_of(name: str) -> UserId:
    """Return a user id made of a name: `Zoë Müller` is `zoe-muller`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return UserId(re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:64] or "me")


def own_token(config: Config, role: Role = USER) -> str:
    """Return a token signed with this machine's own secret, or "" where the server is another machine's."""
    if not on_loopback(urlsplit(config.server).hostname or ""):
        return ""
    secret = Path(config.data) / "secret"
    if not secret.exists():
        return ""
    # An admin's commands come as somebody of their own: a person has one connection, and the newest one wins.
    user = UserId(f"admin~{secrets.token_hex(4)}") if role == ADMIN else user_of(config.name)
    return mint(
        load_keys(secret), user, time.time(), name=config.name, role=role, seconds=_TOKEN_SECONDS
    ).token


def client(
    config: Config,
    *,
    role: Role = USER,
    source: AudioSource | None = None,
    sink: AudioSink | None = None,
    devices: AudioSession | None = None,
    several: bool = False,
    volumes: Path | None = None,
) -> Client:
    """Return a client that is not connected yet. Without any token it comes as a guest, by the room's link."""
    from greenroom.engine.client import (
        Client,  # sound and codecs take half a second to load; help must not wait
    )

    token = config.token or own_token(config, role)
    return Client(
        config.server,
        token=token or None,
        name=config.name,
        source=source,
        sink=sink,
        devices=devices,
        allow_multiple_active_calls=several,
        multi_call_policy=config.policy,
        volumes=volumes,
    )


def with_advice(error: GreenroomError, config: Config) -> GreenroomError:
    """Return `error` saying what to do when a token was not accepted."""
    if isinstance(error, Unauthorized):
        return Unauthorized(
            f"{error}; ask whoever runs {config.server} for a token (greenroom token) and set GREENROOM_TOKEN"
        )
    return error


def require_server(config: Config) -> None:
    """Raise `Unreachable` unless something answers at the configured address within 2 s."""
    try:
        with urlopen(f"{config.server.rstrip('/')}/api/version", timeout=2.0):
            pass
    except HTTPError:
        pass  # something answers; what it has to say is for who asks it
    except (URLError, OSError, ValueError):
        raise Unreachable(f"no server answers at {config.server}; start one with: greenroom serve") from None


def secret_of(config: Config) -> Path:
    """Return the file of this machine's secret. Raises `SetUpIncomplete` while there is none."""
    secret = Path(config.data) / "secret"
    if not secret.exists():
        raise SetUpIncomplete(f"there is no server secret in {config.data}; start one first: greenroom serve")
    return secret
