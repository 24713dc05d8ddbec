"""What the room's screen shows, at 80×24 and at 120×40, and how it follows what happens."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from greenroom.protocol.requests import Join, Kick, Mute, PostMessage, SetMicrophone
from greenroom.state.call import CallPhase, ShownReaction
from greenroom.state.engine import ConnectionPhase
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.screens.share import ShareScreen, qr_lines
from greenroom_tui.themes import THEMES
from greenroom_tui.widgets.chat import Chat, Log
from greenroom_tui.widgets.people import Audience, Hands
from greenroom_tui.widgets.stage import Stage
from tests.tui.looking import dashboard
from tests.tui.world import ANN, BO, CID, DEE, HANA, actor, standup, talking

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]


@pytest.mark.parametrize("size", SIZES)
async def test_everything_that_matters_is_in_sight(size: tuple[int, int]) -> None:
    world = standup()
    talking(world)
    async with dashboard(world, size=size) as shown:
        await shown.sees(
            "Stand-up",
            "● live",
            "1 speaking · 5 people",
            "microphone open",
            "● Ann",
            "speaking",
            "−14 dB",
            "○ Hana (you)",
            "Hands · 2 hands",
            "1 Bo",
            "2 Cy",
            "Audience · 3 listeners",
            "hand 1",
            "Dee",
            "May I ask something about the",
            "Of course, you are next.",
            "Bo raised a hand",
            "lost 0.7% · concealed 0.5% · jitter/buffer/rtt 3/40/11 ms",
            "m Close microphone",
            "n Next hand",
            "? Help",
            "q Quit",
        )
        assert len(shown.lines) == size[1]


async def test_a_meter_moves_with_the_level_and_only_its_line_is_drawn_again() -> None:
    world = standup()
    async with dashboard(world) as shown:
        stage = shown.room.query_one(Stage)
        drawn: list[int] = []
        plain = stage.refresh_line
        stage.refresh_line = lambda y: (drawn.append(y), plain(y))[1]  # type: ignore[method-assign,func-returns-value]  # counting
        talking(world)
        world.change(levels={ANN.user: -6.0}, speaking=frozenset({ANN.user}))
        await shown.sees("━━━━━━━━", "−6 dB")
        assert set(drawn) == {1}


async def test_a_closed_microphone_says_why() -> None:
    world = standup()
    world.act(HANA, Mute(ANN.user))
    async with dashboard(world) as shown:
        await shown.sees("× Ann", "muted", "muted by Hana")


async def test_a_reaction_is_seen_beside_its_person() -> None:
    world = standup()
    async with dashboard(world) as shown:
        world.change(reactions=(ShownReaction(ANN.user, "Ann", "👏", time.time()),))
        await shown.sees("👏")


async def test_what_a_moderator_does_to_me_is_told() -> None:
    world = standup(ANN)
    async with dashboard(world) as shown:
        world.act(HANA, Mute(ANN.user))
        await shown.sees("! Hana muted you", "microphone closed")


async def test_who_is_sent_out_finds_themselves_in_the_lobby_with_the_reason() -> None:
    world = standup(DEE)
    async with dashboard(world) as shown:
        await shown.press("?")
        world.act(HANA, Kick(DEE.user))
        await shown.until(lambda: isinstance(shown.app.screen, LobbyScreen))
        await shown.sees("Stand-up: kicked")
        assert CID not in world.state.value.calls


async def test_leaving_goes_back_to_the_lobby_and_the_room_goes_on() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("l")
        await shown.until(lambda: isinstance(shown.app.screen, LobbyScreen))
        await shown.sees("you left Stand-up")
        assert HANA.user not in world.room().participants


async def test_a_lost_connection_counts_down_every_second() -> None:
    world = standup()
    async with dashboard(world) as shown:
        lost = replace(
            world.state.value,
            connection=ConnectionPhase.RECONNECTING,
            reconnect_attempt=3,
            retry_at=time.time() + 4.4,
        )
        world.state.value = lost
        world.change(phase=CallPhase.RECONNECTING, reconnect_attempt=3)
        await shown.sees("↻ connection lost; attempt 3 in 4 s")
        soon = [f"attempt 3 in {seconds} s" for seconds in range(4)]  # a busy machine may skip some
        await shown.until(lambda: any(words in shown.text for words in soon), "fewer seconds")
        world.state.value = replace(world.state.value, connection=ConnectionPhase.ONLINE)
        world.change(phase=CallPhase.JOINED)
        await shown.sees("● live")


async def test_the_selection_follows_its_person_when_others_come_and_go() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.select(Audience, DEE.user)
        world.act(HANA, Kick(BO.user))
        world.act(actor("eve"), Join())
        await shown.sees("Eve")
        assert shown.room.person == DEE.user
        await shown.sees("▸ Dee")


async def test_tab_goes_through_all_lists_and_arrows_choose() -> None:
    world = standup()
    async with dashboard(world) as shown:
        seen = []
        for _ in range(6):
            seen.append(type(shown.app.focused))
            await shown.press("tab")
        assert set(seen) == {Stage, Chat, Input, Hands, Audience, Log}
        await shown.select(Hands, BO.user)
        await shown.press("down")
        assert shown.room.hand == "cy"


async def test_writing_a_message_leaves_the_letter_keys_alone() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("c")
        await shown.write("q?")
        await shown.press("enter")
        await shown.until(lambda: PostMessage("q?") in world.asked)
        await shown.sees("Hana  q?", "c to write")
        assert isinstance(shown.app.focused, Stage)


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_writing_ends_without_a_message(key: str) -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("c")
        await shown.sees("Enter sends, Esc goes back")
        await shown.press(key)
        await shown.sees("c to write")
        assert isinstance(shown.app.focused, Stage)
        assert not [request for request in world.asked if isinstance(request, PostMessage)]


async def test_the_newest_message_stays_in_sight_and_long_ones_wrap() -> None:
    world = standup()
    async with dashboard(world) as shown:
        for number in range(30):
            world.act(ANN, PostMessage(f"message {number} " + "and on it goes " * 5))
        await shown.sees("message 29")
        assert "message 3 " not in shown.text


async def test_the_newest_lines_are_in_sight_after_a_dialog_and_after_resizing() -> None:
    world = standup()
    async with dashboard(world, size=(80, 30)) as shown:
        for number in range(30):
            world.act(ANN, PostMessage(f"message {number}."))
        await shown.sees("message 29.")
        await shown.press("Q")
        await shown.sees("Join Stand-up")
        for number in range(30, 40):
            world.act(ANN, PostMessage(f"message {number}."))
            world.act(actor(f"late{number}"), Join())
        log = shown.room.query_one(Log)
        await shown.until(lambda: any("Late39" in line.text for line in log.rows))
        await shown.press("escape")
        await shown.sees("message 39.", "Late39 came in")
        for size in ((80, 24), (60, 26), (120, 40), (80, 24)):
            await shown.pilot.resize_terminal(*size)
            await shown.sees("message 39.", "Late39 came in")
        world.act(ANN, PostMessage("message 40."))
        await shown.sees("message 40.")


async def test_who_scrolled_up_stays_there_until_back_at_the_end() -> None:
    world = standup()
    async with dashboard(world) as shown:
        for number in range(30):
            world.act(ANN, PostMessage(f"message {number}."))
        await shown.sees("message 29.")
        shown.room.query_one(Chat).focus()
        await shown.pilot.pause()
        await shown.sees("message 29.")
        await shown.press("home")
        await shown.until(lambda: "message 29." not in shown.text)
        world.act(ANN, PostMessage("message 30."))
        await shown.until(lambda: len(shown.room.query_one(Chat).rows) >= 31)
        await shown.pilot.pause()
        assert "message 30." not in shown.text
        await shown.press("end")
        await shown.sees("message 30.")
        world.act(ANN, PostMessage("message 31."))
        await shown.sees("message 31.")


async def test_typing_is_announced_above_the_chat() -> None:
    world = standup()
    async with dashboard(world) as shown:
        world.change(typing=("Ann", "Bo"))
        await shown.sees("Chat · Ann and Bo are writing…")


async def test_the_link_comes_with_a_code_that_fits_the_smallest_terminal() -> None:
    async with dashboard(standup()) as shown:
        await shown.press("Q")
        await shown.sees(
            "Join Stand-up",
            "http://127.0.0.1:8440/r/audio_room:standup",
            *qr_lines("http://127.0.0.1:8440/r/audio_room:standup", quiet=4),
            "for a browser on this machine",
        )
        await shown.press("escape")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))


async def test_a_long_link_has_a_narrower_margin_rather_than_no_code() -> None:
    link = "https://greenroom.example.org:8440/r/audio_room:stand-up-1"
    async with dashboard(standup()) as shown:
        shown.app.push_screen(ShareScreen("Stand-up", link))
        await shown.sees(*qr_lines(link, quiet=2), "for a browser or a phone")


async def test_every_palette_shows_the_same_words() -> None:
    async with dashboard(standup()) as shown:
        before = shown.lines[2:14]
        for theme in [*THEMES[1:], THEMES[0]]:
            await shown.press("f")
            assert shown.app.theme == theme.name
            await shown.pilot.pause()
            assert shown.lines[2] == before[0]


async def test_resizing_down_and_up_again_keeps_everything() -> None:
    world = standup()
    async with dashboard(world) as shown:
        for size in ((40, 12), (200, 60), (20, 5), (81, 25), (80, 24)):
            await shown.pilot.resize_terminal(*size)
            await shown.pilot.pause()
        await shown.sees("Stand-up", "Hands · 2 hands", "q Quit")


async def test_a_big_audience_is_counted_and_scrolled() -> None:
    world = standup()
    for number in range(300):
        world.act(actor(f"u{number}", f"Listener {number}"), Join())
    async with dashboard(world) as shown:
        await shown.sees("Audience · ")
        audience = shown.room.query_one(Audience)
        assert len(audience.rows) > 200
        audience.focus()
        await shown.press("end")
        await shown.until(lambda: str(audience.rows[-1].name) in shown.text)


async def test_quitting_leaves_the_call() -> None:
    world = standup()
    world.act(ANN, SetMicrophone(False))
    async with dashboard(world) as shown:
        await shown.press("q")
        await shown.until(lambda: not shown.app.is_running or bool(world.left))
    assert world.left == [CID]
