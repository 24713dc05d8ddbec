"""Pre-signed addresses: one opens a room, one places a call to somebody. Expiring, use-limited, role-capped, revocable.

The secret of an address stands in its fragment (`https://host/r/type:id#u=…`), which a browser sends to nobody; whoever
opens it hands the secret over in the body of a request and is given a token for it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from greenroom.protocol.ids import ANONYMOUS, Cid, Role, UserId
from greenroom.protocol.ringing import RingKind

MAX_URL_SECONDS = 30 * 24 * 3600.0
MAX_URL_USES = 10_000
MAX_SECRET_CHARACTERS = 1_024


class UrlKind(StrEnum):
    """What an address does."""

    ROOM = "room"
    CALL = "call"


class MakeUrl(msgspec.Struct, frozen=True, tag_field="ask", tag="make_url", forbid_unknown_fields=True):
    """Sign an address. A room's needs `cid`; a call's needs `to`, and takes `cid` where its room is to have that id.

    `role`: what whoever comes by it may be: anonymous (listens; the default), guest, or a role of that room the asker
    could give. `name`: what they are called; empty lets them say. Good for `uses` people and for `seconds`.
    """

    kind: UrlKind
    cid: Cid | None = None
    to: UserId | None = None
    media: RingKind = RingKind.AUDIO
    role: Role = ANONYMOUS
    name: str = ""
    seconds: float = 24 * 3600.0
    uses: int = 1


class QueryUrls(msgspec.Struct, frozen=True, tag_field="ask", tag="urls", forbid_unknown_fields=True):
    """The addresses the asker made, newest first; an admin sees everybody's. `after` is the id the last page ended with."""

    limit: int = 50
    after: str | None = None


class RevokeUrl(msgspec.Struct, frozen=True, tag_field="ask", tag="revoke_url", forbid_unknown_fields=True):
    """Let an address open nothing more. Who came by it already stays."""

    id: str


class UrlInfo(msgspec.Struct, frozen=True):
    """What is known of an address; its secret is not. Times are wall-clock seconds; `used` counts who came by it."""

    id: str
    kind: UrlKind
    cid: Cid | None
    to: UserId | None
    media: RingKind
    role: Role
    name: str
    by: UserId
    made_at: float
    expires_at: float
    uses: int
    used: int = 0
    revoked_at: float | None = None


class SignedUrl(msgspec.Struct, frozen=True, tag_field="answer", tag="url"):
    """A new address: what is known of it, the path of its page, and its secret, which goes into the fragment."""

    info: UrlInfo
    path: str
    secret: str

    def __repr__(self) -> str:
        return f"SignedUrl(info={self.info!r}, secret=…)"

    def address(self, server: str) -> str:
        """Return the whole address below `server`, e.g. `https://example.org`. Whoever has it may use it."""
        return f"{server.rstrip('/')}{self.path}#u={self.secret}"


class UrlsPage(msgspec.Struct, frozen=True, tag_field="answer", tag="urls"):
    urls: tuple[UrlInfo, ...]
    next: str | None = None


class Redeemed(msgspec.Struct, frozen=True):
    """What the bearer of an address was given: a token, and what to do with it.

    A room's: join `cid`. A call's: join `cid`, a room made for it, and ring `to` there.
    """

    kind: UrlKind
    token: str
    expires_at: float
    user: UserId
    cid: Cid
    to: UserId | None = None
    media: RingKind = RingKind.AUDIO
    name: str = ""

    def __repr__(self) -> str:
        return f"Redeemed(kind={self.kind!r}, cid={self.cid!r}, to={self.to!r}, token=…)"


class UrlState(StrEnum):
    """Whether an address still opens something."""

    OPEN = "open"
    USED_UP = "used up"
    EXPIRED = "expired"
    REVOKED = "revoked"


def url_state(info: UrlInfo, now: float) -> UrlState:
    """Return whether an address would be taken at `now` (wall-clock seconds)."""
    if info.revoked_at is not None:
        return UrlState.REVOKED
    if now >= info.expires_at:
        return UrlState.EXPIRED
    return UrlState.USED_UP if info.used >= info.uses else UrlState.OPEN


def url_path(kind: UrlKind, cid: Cid | None) -> str:
    """Return the path of the page an address opens: the room's, or the one that places calls and names nobody."""
    return "/call" if kind is UrlKind.CALL or cid is None else f"/r/{cid}"
