"""Calls as users of calling SDKs know them: initiate, accept, reject, end. Any number, one after another or at once."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError, Misuse, Refused, Unreachable
from greenroom.observable import Observable, Subscription
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.protocol.ids import Cid, parse_cid
from greenroom.protocol.ringing import EndReason, Ring, RingKind, Scalar
from greenroom.state.engine import ClientState
from greenroom.state.managed import (
    CallError,
    ManagedCall,
    ManagerEvent,
    ManagerPhase,
    ManagerState,
    events,
    managed,
)

if TYPE_CHECKING:
    from greenroom.engine.call import Call
    from greenroom.engine.client import Client

log = logging.getLogger(__name__)
AnyCall = ManagedCall | Ring | str


class CallManager:
    """Places and answers the calls of one client.

        manager = CallManager(client)
        manager.on(print)                       # IncomingCall, PhaseChanged, CallOver, PersonJoined …
        call = await manager.initiate("bo")
        await manager.connected(call)
        await manager.end(call)

    `state` holds every call with its phase, observable from any thread; what happened is told to whoever asked by `on`.
    What we place and what is accepted here is joined by itself. Refusals are `Refused` with a reason, and told as
    `CallError` too. `dispose` ends every call and gives the client back.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: list[tuple[Callable[[Any], None], tuple[type[ManagerEvent], ...]]] = []
        self._disposed = False
        over = frozenset(ring.id for ring in client.state.value.rings.over)
        self.state: Observable[ManagerState] = Observable(ManagerState({}, over))
        self.blocking = BlockingCallManager(self)
        self._watching: Subscription = client.state.subscribe(self._changed)

    def __repr__(self) -> str:
        return f"<CallManager {self.phase}, {len(self.state.value.calls)} calls>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.dispose()

    @property
    def engine(self) -> EngineThread:
        return self._client.engine

    @property
    def phase(self) -> ManagerPhase:
        """The phase of what matters most now."""
        return self.state.value.phase

    def on(self, told: Callable[[Any], None], *kinds: type[ManagerEvent]) -> Callable[[], None]:
        """Call `told(event)`, on the engine's thread, for each event of `kinds` (all without); return how to stop that."""
        if not callable(told) or inspect.iscoroutinefunction(told):
            raise Misuse(
                "who is told of calls must be an ordinary function; start a task in it for what takes time"
            )
        if not all(isinstance(kind, type) for kind in kinds):
            raise Misuse("kinds of events are classes, such as CallOver")
        entry = (told, kinds)
        self._told.append(entry)
        return lambda: self._told.remove(entry) if entry in self._told else None

    # ---- placing calls

    async def initiate(
        self,
        to: str,
        *,
        call_type: RingKind | str = RingKind.AUDIO,
        room: str | None = None,
        audio: bool = True,
        title: str = "",
        metadata: Mapping[str, Scalar] | None = None,
        audio_configuration: AudioConfiguration | None = None,
    ) -> ManagedCall:
        """Call one person and return at once. `audio`: with our microphone open. `room`: an own id for the room."""
        return await self._initiate((to,), call_type, room, audio, title, metadata, audio_configuration)

    async def initiate_group(
        self,
        members: Sequence[str],
        *,
        call_type: RingKind | str = RingKind.AUDIO,
        room: str | None = None,
        audio: bool = True,
        title: str = "",
        metadata: Mapping[str, Scalar] | None = None,
        audio_configuration: AudioConfiguration | None = None,
    ) -> ManagedCall:
        """Call several people; it begins with the first who accepts and goes on until one is left alone."""
        return await self._initiate(
            tuple(members), call_type, room, audio, title, metadata, audio_configuration, group=True
        )

    async def initiate_p2p(
        self,
        to: str,
        *,
        call_type: RingKind | str = RingKind.AUDIO,
        room: str | None = None,
        audio: bool = True,
        title: str = "",
        metadata: Mapping[str, Scalar] | None = None,
        audio_configuration: AudioConfiguration | None = None,
    ) -> ManagedCall:
        """Call one person with sound that goes directly between us where that is possible; `room` is of type `direct`."""
        own = None if room is None else parse_cid(room, "direct")
        return await self._initiate(
            (to,), call_type, own, audio, title, metadata, audio_configuration, p2p=True
        )

    @on_engine
    async def _initiate(
        self,
        members: tuple[str, ...],
        kind: RingKind | str,
        room: str | None,
        audio: bool,
        title: str,
        metadata: Mapping[str, Scalar] | None,
        audio_configuration: AudioConfiguration | None,
        *,
        group: bool = False,
        p2p: bool = False,
    ) -> ManagedCall:
        self._check()
        with _Telling(self, None):
            ring = await self._client.ring(
                members,
                room=room,
                kind=kind,
                p2p=p2p,
                group=group or None,
                title=title,
                metadata=metadata,
                microphone=audio,
                audio_configuration=audio_configuration,
            )
            return self._of(ring)

    # ---- answering

    @on_engine
    async def accept(self, call: AnyCall, *, audio: bool = True, video: bool = False) -> Call:
        """Say yes to an incoming call, come in, with our microphone open or not, and return our side of its room."""
        self._check()
        cid = _cid(call)
        with _Telling(self, cid):
            kind = RingKind.VIDEO if video else RingKind.AUDIO
            ring = await self._client.accept(cid, kind=kind)
            try:
                return await self._client.join(ring.cid, microphone=audio)
            except (Refused, Unreachable):
                await self._quietly_rejected(ring.cid)
                raise

    @on_engine
    async def reject(self, call: AnyCall, *, reason: str = "", busy: bool = False) -> None:
        """Say no to an incoming call, for a `reason` in words or because we are `busy`."""
        self._check()
        cid = _cid(call)
        with _Telling(self, cid):
            await self._client.reject(cid, reason=reason, busy=busy)

    async def decline(self, room: str) -> None:
        """Say no to the call that rings in `room`."""
        await self.reject(room)

    @on_engine
    async def cancel(self, call: AnyCall, *, reason: str = "") -> None:
        """Hang up a call we placed that nobody has answered."""
        self._check()
        cid = _cid(call)
        with _Telling(self, cid):
            await self._client.cancel_ring(cid, reason=reason)

    @on_engine
    async def end(self, call: AnyCall) -> None:
        """End a call, whatever its phase: hang up what we placed (for everybody), reject what rings, leave the rest.

        One that is over is quiet.
        """
        self._check()
        await self._end(_cid(call))

    @on_engine
    async def leave(self, call: AnyCall) -> None:
        """Leave a call that goes on for the others. Raises `Misuse` when we are not in it."""
        self._check()
        await self._client.call(_cid(call)).leave()

    @on_engine
    async def dispose(self) -> None:
        """End every call and watch the client no more; twice is quiet."""
        if self._disposed:
            return
        for call in self.state.value.calls.values():
            if call.phase is not ManagerPhase.ENDED:
                try:
                    await self._end(call.cid)
                except GreenroomError as error:
                    log.info("a call could not be ended in order: %s", error)
        self._disposed = True
        self._watching.close()
        self._told.clear()

    # ---- waiting

    async def connected(self, call: AnyCall, timeout_seconds: float | None = None) -> ManagedCall:
        """Return once a call is connected. Raises `Refused` when it ends before, with how as reason; `TimeoutError`."""
        found = await self._reached(call, {ManagerPhase.CONNECTED, ManagerPhase.ENDED}, timeout_seconds)
        if found.phase is ManagerPhase.ENDED and found.connected_at is None:
            reason = found.reason or EndReason.FAILED
            raise Refused(f"the call was not connected: {reason.value}", reason=reason.value)
        return found

    async def ended(self, call: AnyCall, timeout_seconds: float | None = None) -> ManagedCall:
        """Return once a call is over for us. Raises `TimeoutError`."""
        return await self._reached(call, {ManagerPhase.ENDED}, timeout_seconds)

    async def _reached(
        self, call: AnyCall, phases: set[ManagerPhase], timeout_seconds: float | None
    ) -> ManagedCall:
        def find(state: ManagerState) -> ManagedCall | None:
            if isinstance(call, str):
                return state.at(parse_cid(call, "default"))
            return state.calls.get(call.ring.id if isinstance(call, ManagedCall) else call.id)

        def there(state: ManagerState) -> bool:
            found = find(state)
            return found is not None and found.phase in phases

        found = find(await self.state.until(there, timeout_seconds))
        if found is None:
            raise Misuse("there is no such call")
        return found

    # ---- inside

    def _check(self) -> None:
        if self._disposed:
            raise Misuse("this call manager was disposed of; make another one")

    def _of(self, ring: Ring) -> ManagedCall:
        known = self.state.value.calls.get(ring.id)
        return known or ManagedCall(ring, ManagerPhase.CALLING, ring.by == self._client.state.value.user)

    async def _end(self, cid: Cid) -> None:
        call = self.state.value.at(cid)
        if call is None:
            raise Misuse(f"there is no call in '{cid}'")
        if call.phase is ManagerPhase.ENDED:
            return
        try:
            if call.outgoing and not call.ring.over:
                await self._client.cancel_ring(cid)
            elif call.phase is ManagerPhase.INCOMING:
                await self._client.reject(cid)
        except Refused as error:
            log.info("a call was over already, or goes on for others: %s", error)
        if any(one.cid == cid for one in self._client.calls):
            await self._client.call(cid).leave()

    async def _quietly_rejected(self, cid: Cid) -> None:
        try:
            await self._client.reject(cid, reason="could not connect")
        except GreenroomError as error:
            log.info("a call that could not be entered is over: %s", error)

    def _changed(self, client: ClientState) -> None:
        before = self.state.value
        after = managed(before, client, time.time())
        if after is before:
            return
        self.state.set(after)
        for event in events(before, after):
            self.tell(event)

    def tell(self, event: ManagerEvent) -> None:
        """Tell everybody who asked of `event`; one that raises is logged and harms nobody."""
        for told, kinds in tuple(self._told):
            if kinds and not isinstance(event, kinds):
                continue
            try:
                told(event)
            except Exception:
                log.exception("somebody who listens to calls raised")


class _Telling:
    """Tells of what goes wrong inside, and lets it go on."""

    def __init__(self, manager: CallManager, cid: Cid | None) -> None:
        self._manager = manager
        self._cid = cid

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GreenroomError):
            reason = error.reason if isinstance(error, Refused) else ""
            self._manager.tell(CallError(self._cid, str(error), reason))


class BlockingCallManager(Blocking):
    """`CallManager` without `await`."""

    initiate = twin(CallManager.initiate)
    initiate_group = twin(CallManager.initiate_group)
    initiate_p2p = twin(CallManager.initiate_p2p)
    accept = twin(CallManager.accept)
    reject = twin(CallManager.reject)
    decline = twin(CallManager.decline)
    cancel = twin(CallManager.cancel)
    end = twin(CallManager.end)
    leave = twin(CallManager.leave)
    dispose = twin(CallManager.dispose)
    connected = twin(CallManager.connected)
    ended = twin(CallManager.ended)


def _cid(call: AnyCall) -> Cid:
    return call.cid if isinstance(call, ManagedCall | Ring) else parse_cid(call, "default")
