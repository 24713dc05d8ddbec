"""The page knows and says of calls what engines know and the other faces say, whatever happens in which order."""

from __future__ import annotations

import random

import msgspec
import pytest
from playwright.async_api import Page

from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.refusals import Refusal
from greenroom.protocol.ring_steps import (
    Accepted,
    Action,
    Callee,
    CallerLost,
    Cancelled,
    Elapsed,
    More,
    Present,
    Reached,
    Rejected,
    RoomOver,
    begin,
    step,
)
from greenroom.protocol.ringing import MissedCall, Ring, RingId
from greenroom.protocol.wire import MissedCalls, RingChanged, Rings
from greenroom.state.engine import ClientState
from greenroom.state.rings import RingsState, received
from greenroom.views.rings import end_words, incoming_rows, missed_rows, outgoing_rows

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ME = UserId("bo")
NAMES = {"ann": "Ann", "bo": "Bo", "cy": "Cy", "dee": "Dee", "eve": "Eve"}
PEOPLE = [UserId(user) for user in NAMES]
ROOMS = [Cid(f"default:room{number}") for number in range(4)]
FOLD = """async ([messages, me]) => {
  const { NO_RINGS, received } = await import("/static/rings.mjs");
  const { endWords, incomingRows, missedRows, outgoingRows } = await import("/static/ring-rows.mjs");
  let rings = NO_RINGS;
  return messages.map((message) => {
    rings = received(rings, message, me, 1000);
    return {
      incoming: incomingRows(rings, me).map(({ cid, caller, words, others }) => [cid, caller, words, others]),
      outgoing: outgoingRows(rings, me).map(({ cid, words, people }) => [cid, words, people]),
      missed: missedRows(rings).map(({ by, caller, words }) => [by, caller, words]),
      over: rings.over.map((ring) => endWords(ring, me)),
    };
  });
}"""


def actions(chance: random.Random, by: UserId) -> Action:
    who = chance.choice(PEOPLE)
    more = More(by, NAMES[by], tuple(callee(chance, user) for user in chance.sample(PEOPLE, 2) if user != by))
    possible: list[Action] = [
        more,
        Accepted(who),
        Rejected(who, chance.random() < 0.5, chance.choice(["", "in a meeting"])),
        Cancelled(who, chance.choice(["", "later"])),
        Reached(who),
        Present(frozenset(chance.sample(PEOPLE, chance.randint(0, 3)))),
        RoomOver(chance.choice([None, who])),
        CallerLost(),
        Elapsed(),
    ]
    return chance.choice(possible)


def callee(chance: random.Random, user: UserId) -> Callee:
    return Callee(user, NAMES[user], chance.random() < 0.7)


def a_ring(chance: random.Random, number: int, cid: Cid) -> Ring:
    by, *rung = chance.sample(PEOPLE, chance.randint(2, 5))
    return begin(
        RingId(f"ring{number}"),
        cid,
        by,
        NAMES[by],
        [callee(chance, user) for user in rung],
        float(number),
        incoming_seconds=30.0,
        waiting_seconds=45.0,
        title=chance.choice(["", "Weekly", "room1"]),
        placed=chance.random() < 0.8,
    )


def messages(seed: int) -> list[RingChanged | Rings | MissedCalls]:
    """Return what a server may tell one client: rings as they change, some twice or late, and all of them now and then."""
    chance = random.Random(seed)
    told: list[RingChanged | Rings | MissedCalls] = []
    going: dict[RingId, Ring] = {}
    past: list[Ring] = []
    for number in range(60):
        free = [cid for cid in ROOMS if all(ring.cid != cid for ring in going.values())]
        if not going or (free and chance.random() < 0.2):
            ring = a_ring(chance, number, chance.choice(free))
        else:
            before = chance.choice(list(going.values()))
            after = step(before, actions(chance, before.by), float(number))
            if isinstance(after, Refusal):
                continue
            ring = after
        going[ring.id] = ring
        past.append(ring)
        told.append(RingChanged(ring))
        if ring.over:
            del going[ring.id]
        if chance.random() < 0.1:
            told.append(RingChanged(ring if chance.random() < 0.5 else chance.choice(past)))
        if chance.random() < 0.05:
            told.append(Rings(tuple(going.values())))
            call = MissedCall(RingId(f"away{number % 3}"), Cid("default:away"), PEOPLE[0], "Ann", 5.0)
            told.append(MissedCalls((call,)))
    return told


def ours(told: list[RingChanged | Rings | MissedCalls]) -> list[dict[str, object]]:
    """Return what engines know and say after each of `told`."""
    rings, seen = RingsState(), []
    for message in told:
        rings = received(rings, message, ME, 1000.0)
        client = msgspec.structs.replace(ClientState(), user=ME, rings=rings)
        seen.append(
            {
                "incoming": [
                    [row.cid, row.caller, row.words, row.others] for row in incoming_rows(client, 0.0)
                ],
                "outgoing": [[row.cid, row.words, list(row.people)] for row in outgoing_rows(client, 0.0)],
                "missed": [[row.by, row.caller, row.words] for row in missed_rows(client, 0.0)],
                "over": [end_words(ring, ME) for ring in rings.over],
            }
        )
    return seen


async def test_the_page_knows_and_says_of_calls_what_engines_do(modules: Page) -> None:
    endings: set[str] = set()
    for seed in range(12):
        told = messages(seed)
        theirs = await modules.evaluate(FOLD, [msgspec.to_builtins(told), ME])
        known = ours(told)
        for message, here, there in zip(told, theirs, known, strict=True):
            assert here == there, f"seed {seed}, {message}"
        endings.update(words.split(":")[0] for step in known for words in step["over"])  # type: ignore[attr-defined]  # a list of words
    assert len(endings) > 10, "the tellings end calls in many ways"
