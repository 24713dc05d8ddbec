"""The dashboard on a real engine: keys become requests, events become rows, across two threads."""

from __future__ import annotations

import pytest

from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.client import Client
from greenroom.protocol.ids import Cid
from greenroom_tui.app import DashboardApp
from greenroom_tui.run import screenshot_svg
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from tests.tui.looking import Dashboard

ROOM = Cid("audio_room:room")


@pytest.fixture
def world() -> LoopbackWorld:
    return LoopbackWorld(paced=False)


def person(world: LoopbackWorld, user: str) -> Client:
    return Client(backend=world.backend(user, user.title()), paced=False)


async def test_a_host_opens_a_room_answers_a_hand_and_leaves(world: LoopbackWorld) -> None:
    async with person(world, "hana") as hana, person(world, "bo") as bo:
        app = DashboardApp(hana)
        async with app.run_test(size=(80, 24)) as pilot:
            shown = Dashboard(app, pilot)
            await shown.press("n")
            await shown.write("Room")
            await shown.press("enter")
            await shown.until(lambda: isinstance(app.screen, RoomScreen))
            await shown.sees("Hana (you)", "backstage")
            await shown.press("G")
            await shown.sees("● live")
            call = await bo.join(ROOM)
            await call.raise_hand()
            await shown.sees("1 Bo", "Bo raised a hand")
            await shown.press("n")
            await shown.sees("Hands · no hands", "Stage · 2 people", "Bo was given the stage")
            await call.post("thank you")
            await shown.sees("Bo  thank you")
            await shown.press("m")
            await shown.until(lambda: hana.state.value.calls[ROOM].microphone.wish)
            await shown.press("l")
            await shown.until(lambda: isinstance(app.screen, LobbyScreen))
            await shown.sees("you left Room", "1 person")
            await shown.press("enter")
            await shown.sees("Bo")
            await shown.press("q")
            await shown.until(lambda: not app.is_running)
        assert ROOM not in hana.state.value.calls
        assert [member.name for member in (await bo.people(ROOM)).people] == ["Bo"]


async def test_a_room_that_is_not_there_leaves_one_in_the_lobby_with_the_reason(world: LoopbackWorld) -> None:
    async with person(world, "hana") as hana:
        app = DashboardApp(hana, cid=ROOM)
        async with app.run_test(size=(80, 24)) as pilot:
            await Dashboard(app, pilot).sees("! ", "room", "no rooms yet")


def test_a_picture_of_the_dashboard_shows_the_room(world: LoopbackWorld) -> None:
    with person(world, "hana") as hana, person(world, "bo") as bo:
        call = hana.blocking.join(ROOM, create=True, title="Evening")
        call.blocking.go_live()
        bo.blocking.join(ROOM)
        picture = screenshot_svg(hana, ROOM, wait_seconds=0.5)
        assert "@font-face" not in picture, "a picture asks no other host for anything"
    assert picture.startswith("<svg")
    assert all(word in picture for word in ("Evening", "Hana", "Bo", "Stage"))
