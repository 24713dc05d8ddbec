"""What a client does about calls: place them, answer them, hang up."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence

from greenroom.engine.client_core import ClientCore
from greenroom.engine.connecting import Entry, enter
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import Malformed
from greenroom.observable import Observable
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.policies.preferences import CallPreferences, over
from greenroom.protocol.ids import Cid, parse_cid, parse_user
from greenroom.protocol.requests import AcceptRing, CancelRing, RejectRing, RingRequest, StartRing
from greenroom.protocol.ringing import MissedCall, Ring, RingKind, Scalar


class ClientRings:
    """The part of a `Client` that is about calls. Refusals are `Refused`, with the reason."""

    _core: ClientCore

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on."""
        raise NotImplementedError

    @property
    def incoming_calls(self) -> Observable[tuple[Ring, ...]]:
        """What rings for us now, oldest first."""
        return self._core.ringing.incoming

    @property
    def outgoing_calls(self) -> Observable[tuple[Ring, ...]]:
        """The calls we placed that somebody still has to answer."""
        return self._core.ringing.outgoing

    @property
    def missed_calls(self) -> tuple[MissedCall, ...]:
        """What we did not get to answer and have not looked at, oldest first."""
        return self._core.state.value.rings.missed

    def look_at_missed_calls(self) -> None:
        """Take the missed calls as seen."""
        self.engine.call_soon(self._core.ringing.look_at_missed)

    @on_engine
    async def ring(
        self,
        members: Sequence[str] | str = (),
        *,
        room: str | None = None,
        kind: RingKind | str = RingKind.AUDIO,
        p2p: bool = False,
        group: bool | None = None,
        title: str = "",
        metadata: Mapping[str, Scalar] | None = None,
        join: bool = True,
        microphone: bool | None = None,
        audio_configuration: AudioConfiguration | None = None,
        preferences: CallPreferences | None = None,
    ) -> Ring:
        """Call people and return at once; they ring until they answer, or the room's type has no more patience.

        Each call gets a private room of its own, which ends with it, unless `room` names one; in a room where people
        are already, more are called into it (without `members`: every member who is not there). With `join` we come in
        as soon as the first accepts, with `microphone`, `audio_configuration` and `preferences` as in `Client.join`.
        `metadata` is flat and at most 1 kB. Where the one called rings us already, that call is accepted and returned.
        """
        people = _people(members)
        drop = over(preferences or CallPreferences(), self._core.sessions.preferences).drop_if_alone
        cid = new_call_cid(p2p=p2p) if room is None else parse_cid(room, "default")
        request = StartRing(
            members=tuple(parse_user(user) for user in people),
            kind=_kind(kind),
            p2p=p2p,
            group=len(people) > 1 if group is None else group,
            title=title,
            metadata=_metadata(metadata),
            keep_room=room is not None,
            drop_when_alone=drop if isinstance(drop, bool) else None,
        )
        entry = Entry(
            microphone=microphone,
            audio_configuration=audio_configuration,
            preferences=preferences or CallPreferences(),
        )

        async def come_in(cid: Cid) -> object:
            return await enter(self._core, cid, entry)

        return await self._core.ringing.ring(cid, request, come_in if join else None)

    @on_engine
    async def accept(self, call: Ring | str, *, kind: RingKind | str = RingKind.AUDIO) -> Ring:
        """Say yes to a call that rings; come in with `join` after it. It becomes active by joining, not by this.

        Unless several active calls are allowed, the call we are in is left, and what we placed hung up, first.
        Raises `Refused` with reason `already` (accepted before), `ended` (too late), `not_found` or `not_available`.
        """
        return await self._core.ringing.accept(_cid(call), _kind(kind))

    @on_engine
    async def reject(self, call: Ring | str, *, reason: str = "", busy: bool = False) -> None:
        """Say no to a call that rings, for a `reason` in words or because we are `busy`."""
        await self._core.ringing.reject(_cid(call), reason, busy=busy)

    @on_engine
    async def cancel_ring(self, call: Ring | str, *, reason: str = "") -> None:
        """Hang up a call we placed: it is over for everybody. Whoever only called more people in takes that back."""
        await self._core.ringing.cancel(_cid(call), reason)

    async def _perform_ring(self, cid: Cid, request: RingRequest) -> None:
        """Do what a face asked for about a call."""
        ringing = self._core.ringing

        async def come_in(cid: Cid) -> object:
            return await enter(self._core, cid, Entry())

        match request:
            case StartRing():
                await ringing.ring(cid, request, come_in)
            case AcceptRing(kind):
                ring = await ringing.accept(cid, kind)
                await come_in(ring.cid)
            case RejectRing(reason, busy):
                await ringing.reject(cid, reason, busy=busy)
            case CancelRing(reason):
                await ringing.cancel(cid, reason)


class BlockingRings(Blocking):
    """`ClientRings` without `await`."""

    ring = twin(ClientRings.ring)
    accept = twin(ClientRings.accept)
    reject = twin(ClientRings.reject)
    cancel_ring = twin(ClientRings.cancel_ring)


def new_call_cid(*, p2p: bool = False) -> Cid:
    """Return the random id of a room for one call."""
    return Cid(f"{'direct' if p2p else 'default'}:call-{secrets.token_hex(12)}")


def _cid(call: Ring | str) -> Cid:
    return call.cid if isinstance(call, Ring) else parse_cid(call, "default")


def _people(members: Sequence[str] | str) -> tuple[str, ...]:
    if isinstance(members, str):
        return (members,)
    if not isinstance(members, Iterable):
        raise Malformed(f"who is called is a user id or several, not {str(members)[:40]!a}")
    return tuple(members)


def _metadata(metadata: Mapping[str, Scalar] | None) -> Mapping[str, Scalar]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise Malformed(f"a call's metadata is a mapping, not {type(metadata).__name__}")
    for key, value in metadata.items():
        if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
            raise Malformed(f"a call's metadata holds numbers and words; {str(key)[:40]!a} is {value}")
    return metadata


def _kind(kind: RingKind | str) -> RingKind:
    try:
        return RingKind(kind)
    except ValueError:
        raise Malformed(f"a call is audio or video, not {str(kind)[:40]!a}") from None
