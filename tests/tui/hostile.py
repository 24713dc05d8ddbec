"""A room whose names, title and chat were written to do harm, as a server that does not clean them would send it."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.protocol.ids import Cid, MessageId, UserId
from greenroom.protocol.requests import Join
from greenroom.protocol.ring_steps import Callee, begin
from greenroom.protocol.ringing import MissedCall, RingId
from greenroom.protocol.room import Hand, Message, Participant
from greenroom.state.call import Notice
from greenroom.state.engine import LogLine
from greenroom.state.rings import RingsState
from tests.tui.world import CID, HANA, World, actor, standup, talking

NAMES = (
    "[@click=app.bell]X[/]",
    "Bob [/oops]",
    "[bold red]Red[/]",
    "\x1b[31mred\x1b]0;pwned\x07",
    "\x9b2Jcleared",
    "\x00nul\x07bell\x08back",
    "a\u202elive\u2066x",
    "zero\u200bwidth\ufeff",
    "Z" + "\u0301" * 40,
    "line\nbreak\rreturn\ttab",
    "lone \ud800 half",
    "private \ue000\U000f0000",
    "tag \U000e0041\U000e007f",
    "名前" * 30,
    "👩\u200d💻 \U0001f44d\U0001f3fd",
    "\u2028sep\u2029",
    "",
    "$(reboot) `id` %s {0} \\x1b",
)
MISSED = MissedCall(RingId("missed"), Cid("default:missed"), UserId("evil"), "".join(NAMES), 1e300)
FORBIDDEN = "\x07\x9b\u202e\u2066\u200b\ufeff\ud800\ue000\U000f0000\U000e0041\u2028\u2029"


def hostile() -> World:
    """Return a world in which everything that can carry text carries one of `NAMES`."""
    world = standup()
    for number in range(len(NAMES)):
        world.act(actor(f"evil{number}"), Join())
    talking(world)
    call = world.state.value.calls[CID]
    room = call.room
    assert room is not None
    people: dict[UserId, Participant] = {}
    for place, (user, person) in enumerate(room.participants.items()):
        people[user] = replace(person, name=NAMES[place % len(NAMES)])
    world.change(
        room=replace(
            room,
            title="".join(NAMES),
            participants=people,
            hands=tuple(Hand(UserId(f"evil{place}"), name, 0.0) for place, name in enumerate(NAMES)),
            chat=tuple(
                Message(MessageId(f"x{place}"), HANA.user, name, f"says {name}", 1e300)
                for place, name in enumerate(NAMES)
            ),
        ),
        typing=NAMES,
        notices=(Notice(7, 4e9, NAMES[3]),),
    )
    log = tuple(LogLine(float("nan"), name, CID) for name in NAMES)
    world.state.value = replace(
        world.state.value, log=log, name=NAMES[3], server=NAMES[4], rings=RingsState(missed=(MISSED,))
    )
    return world


def rung_by_hostile(world: World, now: float) -> None:
    """Let somebody call whose name and title were written to do harm, and a story tell something like it."""
    name = "".join(NAMES)
    callee = Callee(world.me.user, NAMES[3], True)
    ring = begin(
        RingId("evil"),
        Cid("default:evil"),
        UserId("evil"),
        name,
        [callee],
        now,
        incoming_seconds=30.0,
        waiting_seconds=45.0,
        title=name,
    )
    state = world.state.value
    rings = replace(state.rings, rings={ring.cid: ring})
    world.state.value = replace(state, rings=rings, log=(*state.log, LogLine(now, name, note=True)))
