"""The lobby: one row for each room that can be entered."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from greenroom.errors import Malformed
from greenroom.protocol.ids import Cid, is_cid
from greenroom.protocol.wire import RoomPreview
from greenroom.state.engine import ClientState
from greenroom.views.words import count, duration, enumerate_names


class RoomRow(msgspec.Struct, frozen=True):
    """`status`: live, backstage or ended. `since`: for how long, empty when that means nothing. `joined`: a call of ours."""

    cid: Cid
    title: str
    status: str
    since: str
    people: str
    stage: str
    hands: str
    joined: bool = False


def room_rows(client: ClientState, now: float) -> tuple[RoomRow, ...]:
    """Return the lobby's rows: live rooms first, then by number of people, then by title. `now` is wall-clock."""
    order = sorted(
        client.rooms,
        key=lambda room: (
            room.ended_at is not None,
            not room.live,
            -room.participants,
            room.title.casefold(),
        ),
    )
    return tuple(_row(room, _title(client, room), room.cid in client.calls, now) for room in order)


def _title(client: ClientState, room: RoomPreview) -> str:
    """Return the room's title; of a room that was made for one call, whom the call is with."""
    ring = client.rings.rings.get(room.cid)
    if ring is None or room.title != room.cid.partition(":")[2]:
        return room.title
    people = {ring.by: ring.by_name, **{rung.user: rung.name for rung in ring.rung}}
    return f"call with {enumerate_names([name for user, name in people.items() if user != client.user])}"


def _row(room: RoomPreview, title: str, joined: bool, now: float) -> RoomRow:
    if room.ended_at is not None:
        status, since = "ended", duration(now - room.ended_at)
    elif room.live:
        status, since = "live", "" if room.live_since is None else duration(now - room.live_since)
    else:
        soon = room.starts_at is not None and room.starts_at > now
        status, since = "backstage", f"starts in {duration((room.starts_at or now) - now)}" if soon else ""
    return RoomRow(
        room.cid,
        title,
        status,
        since,
        count(room.participants, "person", "people"),
        enumerate_names(list(room.on_stage)),
        count(room.hands, "hand") if room.hands else "",
        joined,
    )


def named_cid(title: str, call_type: str = "audio_room") -> Cid:
    """Return the id for a room called `title`: `Weekly meet-up` becomes `audio_room:weekly-meet-up`.

    A whole `type:id` is taken as it is. Raises `Malformed` when nothing of the title can be part of an id.
    """
    words = title.strip()
    if is_cid(words):
        return Cid(words)
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-")
    if not slug:
        raise Malformed("a room needs a title with a letter or a digit from a to z, 0 to 9")
    return Cid(f"{call_type}:{slug}")
