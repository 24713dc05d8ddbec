"""The screen of calls that were: filters, pages, and calling back."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from greenroom.errors import Refused
from greenroom.protocol.deciding import Actor
from greenroom.protocol.ids import Cid
from greenroom.protocol.records import CallRecord, RecordedPerson, RecordKind, RecordStatus
from greenroom.protocol.ringing import MissedCall, RingId
from greenroom.state.rings import RingsState
from greenroom_tui.screens.history import PAGE, HistoryScreen
from greenroom_tui.screens.room import RoomScreen
from tests.tui.looking import Dashboard, dashboard
from tests.tui.world import ANN, BO, CID, DEE, HANA, World, standup


def record(
    number: int,
    by: Actor = ANN,
    to: tuple[Actor, ...] = (HANA,),
    kind: RecordKind = RecordKind.AUDIO,
    status: RecordStatus = RecordStatus.ENDED,
    seconds: float = 65.0,
    reason: str = "",
) -> CallRecord:
    people = tuple(RecordedPerson(one.user, one.name) for one in (by, *to))
    room = kind is RecordKind.ROOM
    return CallRecord(
        f"r{number}",
        CID if room else Cid(f"default:call-{number}"),
        kind,
        status,
        by.user,
        by.name,
        time.time() - 60.0 * number,
        title="Stand-up" if room else "",
        duration_seconds=seconds,
        reason=reason,
        people=people,
        participants=len(people),
    )


def with_history() -> World:
    """Hana's calls of the last minutes; Bo's she has missed."""
    world = standup()
    world.records = (
        record(0),
        record(1, HANA, (BO,), status=RecordStatus.DECLINED, seconds=0.0, reason="at lunch"),
        record(2, BO, status=RecordStatus.MISSED, seconds=0.0),
        record(3, HANA, (ANN, DEE), RecordKind.GROUP, seconds=3725.0),
        record(4, HANA, (), RecordKind.ROOM),
        record(5, ANN, kind=RecordKind.P2P),
    )
    missed = MissedCall(RingId("r2"), Cid("default:call-2"), BO.user, "Bo", time.time() - 120.0)
    world.state.value = replace(world.state.value, rings=RingsState(missed=(missed,)))
    return world


async def at_history(shown: Dashboard) -> HistoryScreen:
    await shown.press("H")
    await shown.until(lambda: isinstance(shown.app.screen, HistoryScreen))
    await shown.until(lambda: "asking" not in shown.text, "the history")
    screen = shown.app.screen
    assert isinstance(screen, HistoryScreen)
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_each_call_says_who_which_way_what_became_of_it_and_how_long(size: tuple[int, int]) -> None:
    async with dashboard(with_history(), size=size) as shown:
        await shown.sees("1 missed call, the newest from Bo 2 min ago")
        await at_history(shown)
        await shown.sees("all calls", "6 calls", "↘ Ann", "1 min", "↗ Bo", "✗ declined", "! missed")
        await shown.sees("↗ Ann and Dee", "1 h 02 min", "◆ Stand-up")
        assert ("at lunch" in shown.text) is (size[0] > 100)


async def test_missed_calls_are_seen_once_the_history_was_looked_at() -> None:
    world = with_history()
    async with dashboard(world) as shown:
        await at_history(shown)
        await shown.press("escape")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
        assert world.state.value.rings.missed == ()


async def test_calls_are_filtered_by_type_direction_person_and_whether_they_were_missed() -> None:
    async with dashboard(with_history()) as shown:
        screen = await at_history(shown)

        async def shows(*ids: str, words: str) -> None:
            await shown.until(
                lambda: screen._page is not None and tuple(one.id for one in screen._page.records) == ids,
                f"{ids}",
            )
            await shown.sees(words)

        await shown.press("t")
        await shows("r0", "r1", "r2", words="only audio")
        await shown.press("d")
        await shows("r0", "r2", words="only incoming audio")
        await shown.press("m")
        await shows("r2", words="only missed incoming audio")
        await shown.press("t", "d", "m")
        await shows(words="only outgoing direct")
        await shown.press("d", "t", "t", "t", "p")
        await shown.write("dee")
        await shown.press("enter")
        await shows("r3", words="only with dee")
        await shown.press("p", "ctrl+u", "enter")
        await shows("r0", "r1", "r2", "r3", "r4", "r5", words="all calls")


async def test_pages_are_turned_and_the_ends_are_told() -> None:
    world = standup()
    world.records = tuple(record(number) for number in range(PAGE + 3))
    async with dashboard(world) as shown:
        await at_history(shown)
        await shown.sees(f"{PAGE} calls · > older")
        await shown.press("<")
        await shown.sees("there are no more calls that way")
        await shown.press(">")
        await shown.sees("3 calls · < newer", "< Newer")
        await shown.press("<")
        await shown.sees(f"{PAGE} calls · > older")


async def test_a_call_is_repeated_to_whom_it_was_with_and_a_room_is_entered() -> None:
    world = with_history()
    async with dashboard(world) as shown:
        screen = await at_history(shown)
        repeated: list[tuple[str, ...]] = []
        for steps, asked in ((0, "ann"), (1, "bo"), (2, "ann, dee")):
            await shown.press(*["down"] * steps, "enter")
            await shown.sees("Call somebody", f" {asked} ")
            await shown.press("enter")
            await shown.until(lambda: shown.app.screen is screen)
            repeated.append(tuple(asked.split(", ")))
            await shown.until(lambda: world.called == repeated)
            await shown.sees("nobody is connected")
        await shown.press("down", "enter")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))


async def test_a_server_without_history_says_so() -> None:
    world = standup()

    async def refused(**_filters: object) -> None:
        raise Refused("that needs a server")

    world.call_history = refused  # type: ignore[method-assign,assignment]  # a server of an older make
    async with dashboard(world) as shown:
        await shown.press("H")
        await shown.sees("! that needs a server", "no such calls")
