"""The list of rooms: previews, and telling those who watch that it changed."""

from __future__ import annotations

from collections.abc import Mapping

from greenroom.protocol.deciding import may_see
from greenroom.protocol.ids import Cid
from greenroom.protocol.permissions import Capability
from greenroom.protocol.publish import View, view_of
from greenroom.protocol.room import Room, may
from greenroom.protocol.wire import RoomPreview, RoomsChanged, encode
from greenroom.server.people import Line, Person

ON_STAGE_SHOWN = 10


class Lobby:
    """Who watches the list, and what changed since they were last told."""

    def __init__(self) -> None:
        self._watchers: dict[Line, Person] = {}
        self._changed: dict[Cid, tuple[Room | None, Room | None]] = {}

    def watch(self, line: Line, person: Person) -> None:
        """Tell `line` of changes from now on."""
        self._watchers[line] = person

    def unwatch(self, line: Line) -> None:
        """Tell `line` nothing more; one that does not watch is quiet."""
        self._watchers.pop(line, None)

    def changed(self, cid: Cid, before: Room | None, after: Room | None) -> None:
        """Note that a room is not what it was, as far as a preview shows it."""
        earlier = self._changed.get(cid, (before, None))[0]
        if _shown(before) != _shown(after) or cid in self._changed:
            self._changed[cid] = (earlier, after)

    def flush(self, now: float) -> None:
        """Tell everybody who may know of a change. `now` is wall-clock time."""
        changed, self._changed = self._changed, {}
        if not changed:
            return
        frame = encode(RoomsChanged())
        for line, person in self._watchers.items():
            if any(_concerns(person, cid, rooms, now) for cid, rooms in changed.items()):
                line.send_latest("rooms changed", frame)


def visible(room: Room, person: Person, now: float) -> bool:
    """Tell whether `person` may know of `room`."""
    return (
        person.bound_to in (None, room.cid)
        and may_see(room, person.actor, now)
        and (room.ended_at is None or person.user in room.members or person.actor.role == "admin")
    )


def preview(room: Room, person: Person) -> RoomPreview:
    """Return what the list shows `person` of `room`."""
    moderates = view_of(room, person.user) is View.MODERATORS or person.actor.role == "admin"
    here = person.user in room.participants
    on_stage = [p.name for p in room.participants.values() if may(room, p.user, Capability.SEND_AUDIO)]
    return RoomPreview(
        cid=room.cid,
        title=room.title,
        live=room.live,
        live_since=room.live_since,
        created_at=room.created_at,
        starts_at=room.starts_at,
        ended_at=room.ended_at,
        created_by=room.created_by,
        participants=len(room.participants),
        hands=len(room.hands) if moderates or here else 0,
        on_stage=tuple(on_stage[:ON_STAGE_SHOWN]),
    )


def _concerns(person: Person, cid: Cid, rooms: tuple[Room | None, Room | None], now: float) -> bool:
    return person.bound_to in (None, cid) and any(
        room is not None and may_see(room, person.actor, now) for room in rooms
    )


def _shown(room: Room | None) -> Mapping[str, object] | None:
    if room is None:
        return None
    return {
        "words": (room.title, room.live, room.starts_at, room.ended_at),
        "hands": len(room.hands),
        "people": (len(room.participants), room.counts),
        "access": (room.members, room.grants, room.blocked, room.settings.private),
    }
