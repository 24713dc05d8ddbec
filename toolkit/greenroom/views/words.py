"""Numbers as people say them."""

from __future__ import annotations

from greenroom.protocol.ids import ADMIN, ANONYMOUS, CALL_MEMBER, GUEST, HOST, MODERATOR, SPEAKER, USER, Role
from greenroom.state.engine import ClientState, ConnectionPhase

_ROLES = {
    ADMIN: "admin",
    HOST: "host",
    MODERATOR: "moderator",
    SPEAKER: "speaker",
    CALL_MEMBER: "member",
    USER: "listener",
    GUEST: "guest",
    ANONYMOUS: "anonymous",
}


def role_word(role: Role) -> str:
    """Return the word for a role; a custom role is its own word."""
    return _ROLES.get(role, role)


def duration(seconds: float) -> str:
    """Return `seconds` in at most two units: `now`, `12 s`, `3 min`, `1 h 05 min`, `2 d`."""
    whole = int(max(0.0, seconds))
    if whole < 1:
        return "now"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return `1 hand`, `3 hands`, `no hands`."""
    return f"{number or 'no'} {one if number == 1 else many or one + 's'}"


def enumerate_names(names: list[str], limit: int = 3) -> str:
    """Return `Ann, Bo, Cy and 4 more`; empty for nobody."""
    shown = names[:limit]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def connection_words(client: ClientState, now: float) -> str:
    """Return how the connection to the server is, with the seconds to the next attempt; `now` is wall-clock."""
    match client.connection:
        case ConnectionPhase.ONLINE:
            return "online"
        case ConnectionPhase.CONNECTING:
            return "connecting…"
        case ConnectionPhase.RECONNECTING:
            wait = "" if client.retry_at is None else f" in {max(0, round(client.retry_at - now))} s"
            return f"connection lost; attempt {client.reconnect_attempt}{wait}"
        case _:
            return "offline"
