"""Several people in memory who call, answer, come, go and vanish in any order: nothing rings for ever, for anybody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.backends.base import LinkChanged
from greenroom.backends.loopback import LoopbackSession, LoopbackWorld
from greenroom.errors import Refused
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.requests import (
    AcceptRing,
    CancelRing,
    End,
    Join,
    Leave,
    RejectRing,
    Request,
    StartRing,
)
from greenroom.protocol.ringing import LONGEST_SECONDS, RingPhase
from greenroom.protocol.wire import FromServer, MissedCalls, RingChanged, Rings
from greenroom.state.rings import RingsState, incoming, outgoing, received

PEOPLE = [UserId(name) for name in ("ann", "bo", "cy", "di")]
# Of the first kind rings have times, of the second none: what nothing else ends, an hour ends.
ROOMS = [Cid("default:one"), Cid("default:two"), Cid("audio_room:three")]


class Person:
    """A client's knowledge of calls, folded from what it is told."""

    def __init__(self, world: LoopbackWorld, user: UserId) -> None:
        self.user = user
        self.rings = RingsState()
        self.online = False
        self._world = world
        self._session: LoopbackSession | None = None

    def received(self, message: FromServer) -> None:
        if isinstance(message, RingChanged | Rings | MissedCalls):
            self.rings = received(self.rings, message, self.user, self._world.clock())

    def link_changed(self, change: LinkChanged) -> None:
        pass

    def seen(self) -> Mapping[Cid, tuple[int, int]]:
        return {}

    async def come(self) -> None:
        if self._session is None:
            self._session = self._world.backend(self.user).session()
            await self._session.open(self)
            await asyncio.sleep(0)
            self.online = True

    async def go(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self.online = False
            await session.close()

    async def ask(self, cid: Cid, request: Request) -> None:
        if self._session is not None:
            with contextlib.suppress(Refused):
                await self._session.do(cid, request)


class Asks(msgspec.Struct, frozen=True):
    user: UserId
    cid: Cid
    request: Request


class Comes(msgspec.Struct, frozen=True):
    user: UserId


class Goes(msgspec.Struct, frozen=True):
    user: UserId


class Waits(msgspec.Struct, frozen=True):
    seconds: float


users = st.sampled_from(PEOPLE)
requests = st.one_of(
    st.builds(
        StartRing,
        st.lists(users, max_size=3, unique=True).map(tuple),
        keep_room=st.booleans(),
        drop_when_alone=st.none() | st.booleans(),
    ),
    st.builds(StartRing, st.tuples(users)),
    st.sampled_from(
        [AcceptRing(), AcceptRing(), RejectRing(), CancelRing(), Join(), Join(), Join(), Leave(), End()]
    ),
)
Step = Asks | Comes | Goes | Waits
asks = st.builds(Asks, users, st.sampled_from(ROOMS), requests)
does: st.SearchStrategy[Step] = st.one_of(
    asks, asks, asks, st.builds(Comes, users), st.builds(Goes, users), st.builds(Waits, st.floats(0.0, 50.0))
)


@settings(max_examples=100, deadline=None)
@given(st.lists(does, max_size=30))
def test_whatever_people_do_nothing_rings_for_ever(order: list[Step]) -> None:
    asyncio.run(live_through(order))


async def live_through(order: list[Step]) -> None:
    now = [1_000.0]
    world = LoopbackWorld(paced=False, clock=lambda: now[0])
    crowd = {user: Person(world, user) for user in PEOPLE}
    for person in list(crowd.values())[:3]:
        await person.come()
    for step in order:
        match step:
            case Waits(seconds):
                now[0] += seconds
                world.ringing.elapse()
            case Comes(user):
                await crowd[user].come()
            case Goes(user):
                await crowd[user].go()
            case Asks(user, cid, request):
                await crowd[user].ask(cid, request)
        assert_agreed(world, crowd)
    for person in crowd.values():
        for cid in ROOMS:
            await person.ask(cid, Leave())
    while (due := world.ringing.board.due(now[0])) is not None:
        assert due <= now[0] + LONGEST_SECONDS
        now[0] = due
        world.ringing.elapse()
    for person in crowd.values():
        assert world.ringing.board.concerning(person.user) == ()
        if person.online:
            assert not person.rings.rings
    for cid in ROOMS:  # and calls can be placed again
        ann = crowd[PEOPLE[0]]
        await ann.come()
        await ann.ask(cid, StartRing((PEOPLE[1],)))
    assert_agreed(world, crowd)


def assert_agreed(world: LoopbackWorld, crowd: Mapping[UserId, Person]) -> None:
    """Whoever is connected knows exactly the calls that concern them, and what rings for them rings there too."""
    board = world.ringing.board
    for person in crowd.values():
        if not person.online:
            continue
        here = {ring.cid: ring for ring in board.concerning(person.user)}
        assert dict(person.rings.rings) == here
        for ring in incoming(person.rings, person.user):
            assert not ring.over
        for ring in outgoing(person.rings, person.user):
            assert ring.phase is not RingPhase.ENDED
        assert all(ring.over for ring in person.rings.over)
