"""Tokens: who somebody is, signed by this server's secret. HS256 only; every claim is required and bounded."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import msgspec

from greenroom.errors import Malformed, SetUpIncomplete, Unauthorized
from greenroom.protocol.ids import ADMIN, ANONYMOUS, GUEST, USER, Cid, Role, UserId, is_cid, parse_user
from greenroom.protocol.text import safe_text
from greenroom.protocol.wire import Token

ALGORITHM = "HS256"
AUDIENCE = "greenroom"
ROLES = frozenset({USER, GUEST, ANONYMOUS, ADMIN})
MAX_TOKEN_BYTES = 8 * 1024
MAX_LIFE_SECONDS = 24 * 3600.0
JOIN_SECONDS = 120.0
LEEWAY_SECONDS = 30.0
SECRET_BYTES = 32
LATEST_TIME = 1e11  # the year 5138; beyond it are only tricks with large numbers
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REQUIRED = ["exp", "iat", "aud", "sub", "jti"]


class Keys(msgspec.Struct, frozen=True):
    """Signing keys by id: the current one, and those still accepted while people move over to it."""

    current: str
    secrets: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"Keys(current={self.current!r}, secrets=…)"


class Claims(msgspec.Struct, frozen=True):
    """What a token says. `bound_to`: the only room it is good for."""

    user: UserId
    name: str
    role: Role
    bound_to: Cid | None
    expires_at: float


def new_keys() -> Keys:
    """Return one fresh key of 256 bits."""
    return Keys("1", {"1": secrets.token_bytes(SECRET_BYTES)})


def mint(
    keys: Keys,
    user: UserId,
    now: float,
    *,
    name: str = "",
    role: Role = USER,
    seconds: float = JOIN_SECONDS,
    bound_to: Cid | None = None,
) -> Token:
    """Return a token for `user`, good from `now` (wall clock) for `seconds`, at most 24 hours.

    Raises `Malformed` for a role a token cannot give, or a life that is too long.
    """
    if role not in ROLES:
        raise Malformed(f"a token can be for {', '.join(sorted(ROLES))}; other roles are given in a room")
    if not 0 < seconds <= MAX_LIFE_SECONDS:
        raise Malformed(f"a token lives for up to {MAX_LIFE_SECONDS:.0f} seconds")
    claims: dict[str, Any] = {
        "sub": user,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now + seconds),
        "jti": secrets.token_hex(8),
        "role": role,
    }
    if name:
        claims["name"] = name
    if bound_to is not None:
        claims["cid"] = bound_to
    signed = jwt.encode(claims, keys.secrets[keys.current], ALGORITHM, headers={"kid": keys.current})
    return Token(signed, float(claims["exp"]))


def verify(keys: Keys, token: str) -> Claims:
    """Return what `token` says. Raises `Unauthorized`, without saying more than a stranger may know."""
    if len(token) > MAX_TOKEN_BYTES:
        raise Unauthorized("that token is too long to be one of this server's")
    if not _COMPACT.fullmatch(token):
        raise Unauthorized("that token is not valid here")
    try:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid", keys.current)
        secret = keys.secrets.get(kid) if isinstance(kid, str) else None
        if secret is None:
            raise Unauthorized("that token is not valid here")
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthorized("that token has expired; ask for a new one") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthorized("that token is not valid here") from None
    return _claims(claims)


def _claims(claims: Mapping[str, Any]) -> Claims:
    begins, ends = claims["iat"], claims["exp"]
    name, role, cid = claims.get("name", ""), claims.get("role", USER), claims.get("cid")
    if not (_is_time(begins) and _is_time(ends) and 0 < ends - begins <= MAX_LIFE_SECONDS):
        raise Unauthorized("that token lives too long to be one of this server's")
    if claims["aud"] != AUDIENCE or role not in ROLES or not isinstance(name, str) or not claims["jti"]:
        raise Unauthorized("that token is not valid here")
    if cid is not None and not (isinstance(cid, str) and is_cid(cid)):
        raise Unauthorized("that token is not valid here")
    try:
        user = parse_user(claims["sub"])
    except (Malformed, TypeError):
        raise Unauthorized("that token is not valid here") from None
    return Claims(user, safe_text(name), Role(role), None if cid is None else Cid(cid), float(ends))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST_TIME


def load_keys(file: Path) -> Keys:
    """Return the keys in `file`, made on first use, readable by its owner only.

    A line is `id hex-secret`; the first signs, and a second is accepted beside it, so that secrets can be changed
    without sending everybody away. Raises `SetUpIncomplete` when the file is readable by others or a secret is weak.
    """
    try:
        text = _read_or_make(file)
    except OSError as error:
        what = f"{file.parent} is not a folder" if file.parent.is_file() else error.strerror
        raise SetUpIncomplete(f"cannot use the secret in {file}: {what}") from None
    found: dict[str, bytes] = {}
    for line in text.splitlines():
        kid, _, value = line.strip().partition(" ")
        if not kid:
            continue
        try:
            found[kid] = bytes.fromhex(value)
        except ValueError:
            raise SetUpIncomplete(f"{file} is damaged: a line is an id and a secret in hexadecimal") from None
        if len(found[kid]) < SECRET_BYTES:
            raise SetUpIncomplete(f"a secret in {file} is shorter than {SECRET_BYTES} bytes; remove the line")
    if not 1 <= len(found) <= 2:
        raise SetUpIncomplete(
            f"{file} holds {len(found)} secrets; it must be one, or two while they are changed"
        )
    return Keys(next(iter(found)), found)


def _read_or_make(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise SetUpIncomplete(f"{file} can be read by others; run: chmod 600 {file}") from None
        return file.read_text("ascii", "replace")
    text = f"{secrets.token_hex(3)} {secrets.token_hex(SECRET_BYTES)}\n"
    with os.fdopen(descriptor, "w", encoding="ascii") as made:
        made.write(text)
    return text
