"""The engine's side of calls: what rings, answering it, placing calls and going into them. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from greenroom.engine.folding import log_line
from greenroom.errors import GreenroomError, Refused, Unreachable
from greenroom.observable import Observable
from greenroom.policies.preferences import resolve_preferences
from greenroom.protocol.ids import Cid
from greenroom.protocol.requests import AcceptRing, CancelRing, RejectRing, StartRing
from greenroom.protocol.ring_steps import Elapsed, due, step
from greenroom.protocol.ringing import YES, EndReason, Ring, RingAnswer, RingId, RingKind
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings
from greenroom.state.call import CallPhase
from greenroom.state.engine import ConnectionPhase
from greenroom.state.rings import RingsState, answer_of, incoming, outgoing, received, seen
from greenroom.views.rings import missed_words, ring_words

if TYPE_CHECKING:
    from greenroom.engine.client_core import ClientCore

TOLD_SECONDS = 5.0
LATE_SECONDS = 2.0
"""How long after its time a ring is over for a client that cannot hear the server say so."""
log = logging.getLogger(__name__)
Enter = Callable[[Cid], Awaitable[object]]
"""Comes into a room; what it returns does not matter."""


class Ringing:
    """Folds what the server tells of calls into `ClientState.rings`, and comes into a call we placed when one accepts."""

    def __init__(self, core: ClientCore) -> None:
        self.incoming: Observable[tuple[Ring, ...]] = Observable(())
        self.outgoing: Observable[tuple[Ring, ...]] = Observable(())
        self._core = core
        self._entering: dict[Cid, Enter] = {}
        self._ahead_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> RingsState:
        """What is known of calls."""
        return self._core.state.value.rings

    # ---- what the server tells

    def welcomed(self, now: float) -> None:
        """Take what time it is on the server."""
        self._ahead_seconds = now - time.time()
        self._show()

    def received(self, message: RingChanged | Rings | MissedCalls) -> None:
        """Take what the server tells of calls."""
        client = self._core.state.value
        self._set(received(client.rings, message, client.user, self._now()))
        if isinstance(message, MissedCalls):
            now = time.time()
            self._core.log(tuple(log_line(missed_words(call), now, call.cid) for call in message.calls))

    def offline(self) -> None:
        """The connection ended for good: nothing rings any more."""
        self.received(Rings())

    async def close(self) -> None:
        """Hang up what we placed and nobody has answered; answer nothing more."""
        self._entering.clear()
        me = self._core.state.value.user
        online = self._core.state.value.connection is ConnectionPhase.ONLINE
        for ring in outgoing(self.state, me) if online else ():
            if not any(rung.here for rung in ring.rung):
                await self._quietly(self.cancel(ring.cid))
        if self._timer is not None:
            self._timer.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.offline()

    # ---- what the person does

    async def ring(self, cid: Cid, request: StartRing, enter: Enter | None = None) -> Ring:
        """Call people into `cid`, and return the call. `enter` is how to come in once somebody accepts.

        Where they ring us already, that call is returned, accepted.
        """
        await self._core.connect(cid)
        if enter is not None:
            self._entering[cid] = enter
        try:
            await self._core.session_open().do(cid, request)
        except BaseException:
            self._entering.pop(cid, None)
            raise
        return await self._placed(cid)

    async def accept(self, cid: Cid, kind: RingKind) -> Ring:
        """Say yes to what rings in `cid`. Unless several calls are allowed, others are left and hung up first."""
        core = self._core
        await core.connect(cid)
        ring = self.state.rings.get(cid)
        mine = None if ring is None else answer_of(ring, core.state.value.user)
        if mine is RingAnswer.RINGING and kind is RingKind.AUDIO and not core.several:
            await self._make_way(cid)
        if ring is not None:
            self._mark(ring.id, accepted=True)
        try:
            await core.session_open().do(cid, AcceptRing(kind))
        except BaseException:
            if ring is not None and mine not in YES:
                self._mark(ring.id, accepted=False)
            raise
        return await self._placed(cid)

    async def reject(self, cid: Cid, reason: str = "", *, busy: bool = False) -> None:
        """Say no to what rings in `cid`."""
        await self._core.connect(cid)
        await self._core.session_open().do(cid, RejectRing(reason, busy))

    async def cancel(self, cid: Cid, reason: str = "") -> None:
        """Hang up the call we placed in `cid`, for everybody in it."""
        await self._core.connect(cid)
        self._entering.pop(cid, None)
        await self._core.session_open().do(cid, CancelRing(reason))

    def look_at_missed(self) -> None:
        """Take the missed calls as seen."""
        self._set(seen(self.state))

    # ---- inside

    async def _placed(self, cid: Cid) -> Ring:
        """Return the call in `cid`, or the one it was merged into: the server tells it before it answers."""

        def find(rings: RingsState) -> Ring | None:
            if (ring := rings.rings.get(cid)) is not None:
                return ring
            over = next((ring for ring in reversed(rings.over) if ring.cid == cid), None)
            if over is None or over.merged_into is None:
                return over
            return rings.rings.get(over.merged_into) or next(
                (ring for ring in reversed(rings.over) if ring.cid == over.merged_into), None
            )

        try:
            state = await self._core.state.until(lambda state: find(state.rings) is not None, TOLD_SECONDS)
        except TimeoutError:
            raise Unreachable("the server did not tell what became of the call") from None
        ring = find(state.rings)
        if ring is None:
            raise Unreachable("the server did not tell what became of the call")
        return ring

    async def _make_way(self, cid: Cid) -> None:
        core = self._core
        for ring in outgoing(self.state, core.state.value.user):
            if ring.cid != cid:
                await self._quietly(self.cancel(ring.cid))
        for membership in tuple(core.memberships.values()):
            if membership.cid != cid and membership.state.value.phase is not CallPhase.LEFT:
                await core.leave(membership, "replaced")

    def _mark(self, id_: RingId, *, accepted: bool) -> None:
        here = self.state.accepted_here
        self._set(replace(self.state, accepted_here=here | {id_} if accepted else here - {id_}))

    def _set(self, rings: RingsState) -> None:
        client = self._core.state.value
        before = client.rings
        if rings is before:
            return
        self._core.state.set(replace(client, rings=rings))
        self._show()
        for ring in (*rings.over, *rings.rings.values()):
            was = before.find(ring.id)
            if was is not ring:
                self._changed(was, ring)
        self._schedule()

    def _show(self) -> None:
        client = self._core.state.value
        for observable, calls in (
            (self.incoming, incoming(client.rings, client.user)),
            (self.outgoing, outgoing(client.rings, client.user)),
        ):
            if observable.value != calls:
                observable.set(calls)

    def _changed(self, before: Ring | None, ring: Ring) -> None:
        client = self._core.state.value
        if (words := ring_words(before, ring, client)) is not None:
            self._core.log((log_line(words, time.time(), ring.cid),))
        if ring.outcome is EndReason.MERGED and ring.merged_into is not None:
            merged = client.rings.rings.get(ring.merged_into)
            if (enter := self._entering.pop(ring.cid, None)) is not None:
                self._entering[ring.merged_into] = enter
            if merged is not None:
                self._come_in(merged)
            return
        if ring.over:
            self._entering.pop(ring.cid, None)
            return
        self._come_in(ring)
        mine, was = answer_of(ring, client.user), None if before is None else answer_of(before, client.user)
        if mine is RingAnswer.RINGING and was is not RingAnswer.RINGING and self._busy(ring):
            self._spawn(self._quietly(self.reject(ring.cid, busy=True)))

    def _busy(self, ring: Ring) -> bool:
        """Tell whether another call keeps the person busy, and they want to be."""
        if not resolve_preferences(None, self._core.sessions.preferences).reject_when_busy:
            return False
        client = self._core.state.value
        in_call = any(
            cid != ring.cid and call.phase is not CallPhase.LEFT for cid, call in client.calls.items()
        )
        others = (one for one in client.rings.rings.values() if one.cid != ring.cid)
        return in_call or any(one.by == client.user or answer_of(one, client.user) in YES for one in others)

    def _come_in(self, ring: Ring) -> None:
        """Come into a call we placed once the first has accepted, or into theirs where both rang each other."""
        if ring.cid not in self._entering or all(rung.answer not in YES for rung in ring.rung):
            return
        enter = self._entering.pop(ring.cid)
        self._spawn(self._enter(ring, enter))

    async def _enter(self, ring: Ring, enter: Enter) -> None:
        try:
            await enter(ring.cid)
        except (GreenroomError, TimeoutError) as error:
            log.info("a call that was accepted could not be entered: %s", type(error).__name__)
            self._core.log((log_line(f"the call could not be entered: {error}", time.time(), ring.cid),))
            await self._quietly(self.cancel(ring.cid, "could not connect"))
        except Exception:  # a fault of ours must not leave the other waiting
            log.exception("a call that was accepted could not be entered")
            await self._quietly(self.cancel(ring.cid, "could not connect"))

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (Refused, Unreachable) as error:
            log.info("a call was over before it could be hung up: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- time, while the server cannot be heard

    def _now(self) -> float:
        return time.time() + self._ahead_seconds

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._now()
        times = [time for ring in self.state.rings.values() if (time := due(ring, now)) is not None]
        if times:
            later = max(0.0, min(times) - now) + LATE_SECONDS
            self._timer = asyncio.get_running_loop().call_later(later, self._elapse)

    def _elapse(self) -> None:
        """End by ourselves what the server would have ended, were it there: what it says later counts."""
        if self._core.state.value.connection is ConnectionPhase.ONLINE:
            self._schedule()
            return
        now = self._now()
        for ring in tuple(self.state.rings.values()):
            late = step(ring, Elapsed(), now)
            if isinstance(late, Ring) and late is not ring:
                self.received(RingChanged(late))
        self._schedule()
