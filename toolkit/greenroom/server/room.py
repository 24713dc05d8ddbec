"""One room as the server runs it: `RoomHub` with a queue in front of the store, and those who follow it.

Decided steps wait in order. What closes a microphone or removes somebody goes to the media worker when it is
decided; the store keeps a group of steps at once; then they are published, answered, and microphones open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from greenroom.errors import StorageFailed
from greenroom.protocol.call_types import CallType
from greenroom.protocol.decide import gone
from greenroom.protocol.deciding import Actor, Facts
from greenroom.protocol.events import Event, GrantsChanged, MemberRemoved, MemberSet, PermissionsChanged
from greenroom.protocol.hub import Proposal, RoomHub
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.publish import View, view_of
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import Request
from greenroom.protocol.room import LeaveReason, Room, audible
from greenroom.protocol.wire import Happened, MediaLost, Removed, Snapshot, encode
from greenroom.server.sound import Sound
from greenroom.storage.base import Repository, RowChange
from greenroom.storage.changes import room_changes
from greenroom.storage.writer import Writer

log = logging.getLogger(__name__)
UNAVAILABLE = Refusal(
    Reason.UNAVAILABLE, "the server could not keep that just now; nothing has changed, try again"
)
LARGE_FRAME_BYTES = 64 * 1024
_RANKING = (MemberSet, MemberRemoved, PermissionsChanged, GrantsChanged)


class Follower(Protocol):
    """One client's connection, as a room sees it. None of these waits."""

    def send(self, frame: bytes) -> None:
        """Send a control frame."""

    def send_signal(self, frame: bytes) -> None:
        """Send a frame that may be missed."""

    def send_latest(self, key: Hashable, frame: bytes) -> None:
        """Send a frame of which only the newest matters."""


@dataclass(slots=True)
class _Step:
    """One decision on its way. `again` makes the server's own events anew after a failed commit."""

    proposal: Proposal
    changes: tuple[RowChange, ...]
    silenced: asyncio.Task[None] | None
    newcomer: tuple[UserId, Follower] | None = None
    again: Callable[[Room], Iterable[Event]] | None = None
    kept: asyncio.Future[Refusal | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


Published = Callable[["HostedRoom", Room | None, Sequence[Proposal]], None]


class HostedRoom:
    """A room and its followers. `room` is decided, `committed` is kept and published."""

    def __init__(
        self,
        cid: Cid,
        room: Room | None,
        call_types: Mapping[str, CallType],
        *,
        repository: Repository,
        writer: Writer,
        sound: Sound,
        next_epoch: Callable[[], int],
        on_published: Published,
        talked_seconds: Mapping[UserId, float],
    ) -> None:
        self.cid = cid
        self.committed = room
        self.talked_seconds = dict(talked_seconds)
        self._call_types = call_types
        self._hub = RoomHub(room, cid, next_epoch(), call_types)
        self._repository = repository
        self._writer = writer
        self._sound = sound
        self._next_epoch = next_epoch
        self._on_published = on_published
        self._steps: list[_Step] = []
        self._followers: dict[UserId, tuple[Follower, View]] = {}
        self._snapshots: dict[View, tuple[tuple[int, int], bytes]] = {}
        self._drain: asyncio.Task[None] | None = None

    @property
    def room(self) -> Room | None:
        """The newest decided state, which may be ahead of what is kept."""
        return self._hub.room

    @property
    def idle(self) -> bool:
        """Whether nobody would miss this room in memory."""
        room = self._hub.room
        empty = room is None or (not room.participants and not room.hands and not room.invitations)
        return empty and not self._followers and self._drain is None

    def may_be_heard(self, user: UserId) -> bool:
        """Tell whether what `user` sends may be passed on: decided and kept."""
        decided, kept = self._hub.room, self.committed
        return decided is not None and kept is not None and audible(decided, user) and audible(kept, user)

    async def request(
        self,
        who: Actor,
        request: Request,
        now: float,
        facts: Facts,
        follower: Follower | None = None,
        also: tuple[RowChange, ...] = (),
    ) -> Refusal | None:
        """Decide `request` and return when it is kept and published, or why not. `now` is wall-clock time.

        `follower`, of somebody who joins or makes the room, is sent a snapshot before. `also` is kept in the same
        transaction when the decision changes what is kept.
        """
        proposal = self._hub.propose(who, request, now, facts)
        if isinstance(proposal, Refusal):
            return proposal
        newcomer = None if follower is None else (who.user, follower)
        return await asyncio.shield(self._queue(proposal, newcomer=newcomer, also=also).kept)

    def apply(self, make: Callable[[Room], Iterable[Event]]) -> None:
        """Let happen what the server itself decided: `make` says what follows from the room."""
        room = self._hub.room
        if room is not None and (events := tuple(make(room))):
            self._queue(self._hub.apply(events), again=make)

    def remove(self, user: UserId, reason: LeaveReason) -> None:
        """Let `user` go."""
        self.apply(lambda room: gone(room, user, reason) if user in room.participants else ())

    def tick(self, now: float) -> None:
        """Let happen what time alone brings. `now` is wall-clock time."""
        if (proposal := self._hub.tick(now)) is not None:
            self._queue(proposal)

    def follow(self, user: UserId, follower: Follower, seen: tuple[int, int] | None = None) -> None:
        """Send `follower` the room, or what is missing since `seen` (epoch, seq), and everything from now on."""
        room = self.committed
        if room is None or user not in room.participants:
            return
        view = view_of(room, user)
        self._followers[user] = (follower, view)
        if seen is None:
            self._send_snapshot(follower, view)
        else:
            self._catch_up(follower, view, seen)

    def unfollow(self, user: UserId, follower: Follower) -> None:
        """Send `follower` nothing more, unless another took its place already."""
        if (known := self._followers.get(user)) is not None and known[0] is follower:
            del self._followers[user]

    def follows(self, user: UserId, follower: Follower) -> bool:
        """Tell whether `follower` is the one who follows for `user`."""
        known = self._followers.get(user)
        return known is not None and known[0] is follower

    def sync(self, user: UserId, follower: Follower, seen: tuple[int, int]) -> None:
        """Send `follower` what is missing since `seen`."""
        if self.follows(user, follower):
            self._catch_up(follower, self._followers[user][1], seen)

    def tell(self, user: UserId, frame: bytes) -> None:
        """Send a control frame to one person, if they follow."""
        if (known := self._followers.get(user)) is not None:
            known[0].send(frame)

    def tell_latest(self, key: Hashable, frame: bytes, only: UserId | None = None) -> None:
        """Send everybody, or `only` one, a frame of which the newest matters."""
        if only is not None:
            if (known := self._followers.get(only)) is not None:
                known[0].send_latest(key, frame)
            return
        for follower, _ in self._followers.values():
            follower.send_latest(key, frame)

    def tell_signal(self, frame: bytes) -> None:
        """Send everybody a frame that may be missed."""
        for follower, _ in self._followers.values():
            follower.send_signal(frame)

    async def settled(self) -> None:
        """Return when everything decided so far is kept or failed."""
        if self._drain is not None:
            await asyncio.shield(self._drain)

    # --- the queue

    def _queue(
        self,
        proposal: Proposal,
        *,
        newcomer: tuple[UserId, Follower] | None = None,
        again: Callable[[Room], Iterable[Event]] | None = None,
        also: tuple[RowChange, ...] = (),
    ) -> _Step:
        changes = room_changes(proposal.before, proposal.events)
        silenced = self._sound.silence(self.cid, proposal.closes, proposal.removed)
        step = _Step(proposal, changes and (*changes, *also), silenced, newcomer, again)
        self._steps.append(step)
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_task(self._run(), name=f"room {self.cid}")
        return step

    async def _run(self) -> None:
        try:
            while self._steps:
                await asyncio.sleep(0)  # what else comes in this tick goes out in the same frame
                group = self._next_group()
                changes = [change for step in group for change in step.changes]
                await asyncio.gather(*(step.silenced for step in group if step.silenced is not None))
                try:
                    await self._writer.commit(changes)
                    self._publish(group)
                except StorageFailed as error:
                    log.warning("%s; the room goes back to what was kept", error)
                    await self._roll_back(group)
                except Exception:  # a mistake of ours must not leave everybody waiting
                    log.exception("a change could not be published; the room goes back to what was kept")
                    await self._roll_back(group)
        finally:
            self._drain = None

    def _next_group(self) -> list[_Step]:
        """Take what needs no commit at the front by itself, so that a store in trouble does not hold it up."""
        free = next((place for place, step in enumerate(self._steps) if step.changes), len(self._steps))
        group = self._steps[: free or None]
        del self._steps[: len(group)]
        return group

    def _publish(self, group: Sequence[_Step]) -> None:
        before, self.committed = self.committed, group[-1].proposal.after
        numbered: dict[View, Happened] = {}
        for step in group:
            for view, batch in self._hub.published(step.proposal).items():
                earlier = numbered.get(view)
                numbered[view] = Happened(
                    self.cid,
                    batch.epoch,
                    batch.seq if earlier is None else earlier.seq,
                    batch.events if earlier is None else (*earlier.events, *batch.events),
                )
        self._send_removed(group)
        frames = {view: encode(happened) for view, happened in numbered.items() if happened.events}
        views_changed = any(isinstance(event, _RANKING) for step in group for event in step.proposal.events)
        for user, (follower, view) in list(self._followers.items()):
            entitled = view_of(self.committed, user) if views_changed and self.committed is not None else view
            if entitled is not view:
                self._followers[user] = (follower, entitled)
                self._send_snapshot(follower, entitled)
            elif (frame := frames.get(view)) is not None:
                follower.send(frame)
        for step in group:
            self._welcome(step)
            if not step.kept.done():
                step.kept.set_result(None)
        for user in {user for step in group for user in step.proposal.opens}:
            self._sound.allow(self.cid, user, self.may_be_heard(user))
        self._on_published(self, before, [step.proposal for step in group])

    def _send_removed(self, group: Sequence[_Step]) -> None:
        for step in group:
            for user, left in step.proposal.removed.items():
                known = self._followers.pop(user, None)
                if known is not None and left.reason is not LeaveReason.LEFT:
                    known[0].send(encode(Removed(self.cid, left.reason, left.by)))

    def _welcome(self, step: _Step) -> None:
        if step.newcomer is None or self.committed is None:
            return
        user, follower = step.newcomer
        view = view_of(self.committed, user)
        if user in self.committed.participants:
            self._followers[user] = (follower, view)
        self._send_snapshot(follower, view)

    async def _roll_back(self, failed: Sequence[_Step]) -> None:
        """Go back to what is kept, under a new epoch. What was decided meanwhile stood on what failed, and fails too."""
        try:
            stored = await self._repository.room(self.cid)
        except StorageFailed:
            stored = None
        undone, self._steps = [*failed, *self._steps], []
        present = self.committed
        if stored is not None and present is not None:
            present = replace(
                stored,
                participants=present.participants,
                counts=present.counts,
                next_number=max(present.next_number, 1 + _highest(undone)),
                listed=present.listed,
            )
        self.committed = present
        self._hub = RoomHub(present, self.cid, self._next_epoch(), self._call_types)
        self._snapshots.clear()
        for step in undone:
            for user in step.proposal.removed:
                self.tell(
                    user,
                    encode(MediaLost(self.cid, "the server could not keep a change; connect sound again")),
                )
            for user in step.proposal.closes | step.proposal.opens:
                self._sound.allow(self.cid, user, self.may_be_heard(user))
            if not step.kept.done():
                step.kept.set_result(UNAVAILABLE)
        for follower, view in self._followers.values():
            self._send_snapshot(follower, view)
        for step in undone:
            if step.again is not None:
                self.apply(step.again)

    # --- what followers are sent

    def _catch_up(self, follower: Follower, view: View, seen: tuple[int, int]) -> None:
        missed = self._hub.since(view, *seen)
        if isinstance(missed, Snapshot):
            self._send_snapshot(follower, view)
        elif missed is not None:
            frame = encode(missed)
            if len(frame) > LARGE_FRAME_BYTES and len(self._snapshot(view)) < len(frame):
                self._send_snapshot(follower, view)
            else:
                follower.send(frame)

    def _send_snapshot(self, follower: Follower, view: View) -> None:
        if frame := self._snapshot(view):
            follower.send(frame)

    def _snapshot(self, view: View) -> bytes:
        """Return the encoded snapshot, made once for each number; b"" while there is no room."""
        snapshot = self._hub.snapshot(view)
        if snapshot is None:
            return b""
        place = (snapshot.epoch, snapshot.seq)
        cached = self._snapshots.get(view)
        if cached is None or cached[0] != place:
            cached = self._snapshots[view] = (place, encode(snapshot))
        return cached[1]


def _highest(steps: Iterable[_Step]) -> int:
    """Return the highest number given to anybody: numbers name sound and are not given twice."""
    rooms = [step.proposal.after for step in steps if step.proposal.after is not None]
    return max((room.next_number - 1 for room in rooms), default=0)
