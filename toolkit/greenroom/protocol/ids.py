"""Names of things: rooms, people, messages, and how they are checked."""

from __future__ import annotations

import re
from typing import NewType

from greenroom.errors import Malformed

Cid = NewType("Cid", str)
"""A room's id, `type:id`, e.g. `audio_room:standup`."""
UserId = NewType("UserId", str)
MessageId = NewType("MessageId", str)
OpId = NewType("OpId", str)
"""Names one request of one client, so that a retried request has one effect."""
Role = NewType("Role", str)

ADMIN = Role("admin")
HOST = Role("host")
MODERATOR = Role("moderator")
SPEAKER = Role("speaker")
CALL_MEMBER = Role("call-member")
USER = Role("user")
GUEST = Role("guest")
ANONYMOUS = Role("anonymous")

_CID = re.compile(r"^[a-z][a-z0-9_-]{0,31}:[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}$")
_USER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@~-]{0,63}$")
_ROLE = re.compile(r"^[a-z][a-z0-9_-]{0,31}$")


def parse_cid(text: str, default_type: str = "audio_room") -> Cid:
    """Return `text` as a cid; a bare id gets `default_type`. Raises `Malformed` when it is neither."""
    cid = text if not isinstance(text, str) or ":" in text else f"{default_type}:{text}"
    if not isinstance(cid, str) or not _CID.fullmatch(cid):
        raise Malformed(
            f"{_shown(text)} is not a room id; write type:id with letters, digits, '-', '_', '.' "
            "(for example audio_room:standup)"
        )
    return Cid(cid)


def parse_user(text: str) -> UserId:
    """Return `text` as a user id. Raises `Malformed` when it holds anything but letters, digits and `_.@~-`."""
    if not isinstance(text, str) or not _USER.fullmatch(text):
        raise Malformed(f"{_shown(text)} is not a user id; use up to 64 letters, digits and _ . @ ~ -")
    return UserId(text)


def is_cid(text: str) -> bool:
    """Tell whether `text` is a whole `type:id`."""
    return _CID.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Tell whether `text` can be a user id."""
    return _USER.fullmatch(text) is not None


def is_role(text: str) -> bool:
    """Tell whether `text` can name a role."""
    return _ROLE.fullmatch(text) is not None


def call_type_of(cid: Cid) -> str:
    """Return the part before the colon."""
    return cid.partition(":")[0]


def _shown(value: object) -> str:
    return ascii(value[:80]) if isinstance(value, str) else f"{ascii(value)[:80]} ({type(value).__name__})"
