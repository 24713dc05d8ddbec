"""The lobby: which rooms there are and how one gets in."""

from __future__ import annotations

from msgspec.structs import replace

from greenroom.protocol.ids import Cid
from greenroom.protocol.requests import End, GetOrCreate, GoLive, Join
from greenroom.views.rooms import named_cid
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from tests.tui.looking import dashboard
from tests.tui.world import ANN, CID, HANA, World, actor, standup

ZED = actor("zed")
TALK = Cid("livestream:talk")


def visitor() -> World:
    """Zed sees Hana's room and a talk that has not begun."""
    world = standup(ZED)
    world.act(ANN, GetOrCreate(title="The talk"), Join(), cid=TALK)
    return world


async def test_rooms_show_whether_they_are_live_who_is_on_and_whose_hands_are_up() -> None:
    async with dashboard(visitor(), cid=None) as shown:
        await shown.sees(
            "2 rooms · 1 live", "● Stand-up", "live", "5 people", "2 hands", "on stage: Hana and Ann"
        )
        await shown.sees("○ The talk", "backstage", "1 person", "livestream:talk", "● online")


async def test_enter_goes_into_the_chosen_room() -> None:
    world = visitor()
    async with dashboard(world, cid=None) as shown:
        await shown.sees("Stand-up")
        await shown.press("enter")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
        await shown.sees("Zed (you)")
        assert ZED.user in world.room().participants


async def test_a_room_that_may_not_be_entered_says_why_and_the_lobby_stays() -> None:
    world = visitor()
    async with dashboard(world, cid=None) as shown:
        await shown.sees("The talk")
        await shown.press("down", "enter")
        await shown.sees("backstage", "! ")
        assert isinstance(shown.app.screen, LobbyScreen)


async def test_a_new_room_is_opened_with_a_title_in_ones_own_words() -> None:
    world = visitor()
    async with dashboard(world, cid=None) as shown:
        await shown.press("n")
        await shown.write("Weekly Retro")
        await shown.press("enter")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
        assert world.room(named_cid("Weekly Retro")).title == "Weekly Retro"


async def test_a_title_without_letters_is_asked_for_again() -> None:
    async with dashboard(visitor(), cid=None) as shown:
        await shown.press("n", "exclamation_mark", "enter")
        await shown.sees("a room needs a title")
        await shown.press("escape")
        await shown.until(lambda: isinstance(shown.app.screen, LobbyScreen))


async def test_a_room_is_entered_by_its_id_and_a_wrong_id_is_explained() -> None:
    async with dashboard(visitor(), cid=None) as shown:
        await shown.press("j")
        await shown.write("not an id")
        await shown.press("enter")
        await shown.sees("is not a room id")
        await shown.press("end", "ctrl+u")
        await shown.write("standup")
        await shown.press("enter")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))


async def test_the_lobby_can_be_looked_at_without_leaving_the_room() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("h")
        await shown.sees("joined", "Stand-up")
        assert HANA.user in world.room().participants
        await shown.press("enter")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))


async def test_ended_rooms_are_marked_in_words() -> None:
    world = visitor()
    world.act(HANA, End())
    async with dashboard(world, cid=None) as shown:
        await shown.sees("× Stand-up", "ended")


async def test_nobodys_rooms_lead_to_the_key_that_opens_one() -> None:
    async with dashboard(World(ZED), cid=None) as shown:
        await shown.sees("no rooms yet: press n to open one", "n New room")
        await shown.press("enter")
        await shown.sees("there is no room to enter")


async def test_an_error_of_the_engine_is_shown() -> None:
    world = visitor()
    async with dashboard(world, cid=None) as shown:
        world.state.value = replace(world.state.value, error="the server closed the connection")
        await shown.sees("the server closed the connection")


async def test_a_cid_that_cannot_be_entered_at_the_start_leaves_one_in_the_lobby() -> None:
    world = World(ZED)
    world.act(ANN, GetOrCreate(title="Closed"), Join(), GoLive(), cid=CID)
    world.act(ANN, End())
    from greenroom_tui.app import DashboardApp

    app = DashboardApp(world, cid=CID)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.3)
        assert isinstance(app.screen, LobbyScreen)
