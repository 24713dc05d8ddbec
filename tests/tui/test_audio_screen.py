"""The sound screen: devices, levels, knobs, how others are heard, charts; and what must never be cut."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from textual.geometry import Region

from greenroom.protocol.requests import GetOrCreate, GoLive, Join
from greenroom.state.devices import DevicePhase, Direction, Line
from greenroom.state.meters import Meters
from greenroom.state.own_requests import ConfigureAudio, SetPersonMuted, SetVolume
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import ACTIONS, Group
from greenroom_tui.cells import wrap
from greenroom_tui.screens.audio import AudioScreen
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.widgets.charts import Charts
from greenroom_tui.widgets.levels import Levels
from greenroom_tui.widgets.sound import Configuration, Devices, People
from tests.tui.looking import Dashboard, dashboard
from tests.tui.sounding import DEVICES, LOST, minutes_of, sounding
from tests.tui.world import ANN, CID, HANA, World, standup

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 40), id="120x40")]


def world_with_sound() -> World:
    world = standup()
    sounding(world)
    world.meters.value = Meters(-22.0, -12.0, -18.0)
    return world


async def to_sound(shown: Dashboard) -> AudioScreen:
    await shown.press("A")
    await shown.until(lambda: isinstance(shown.app.screen, AudioScreen), "the sound screen")
    screen = shown.app.screen
    assert isinstance(screen, AudioScreen)
    await shown.sees("−22 dBFS")
    return screen


def read(shown: Dashboard) -> str:
    """The screen as one line of words."""
    return " ".join(shown.text.split())


@pytest.mark.parametrize("size", SIZES)
async def test_everything_about_sound_is_in_sight(size: tuple[int, int]) -> None:
    async with dashboard(world_with_sound(), size=size) as shown:
        await to_sound(shown)
        await shown.sees(
            "Sound  Stand-up",
            "● microphone open",
            "your line is good: packets come up to 52 ms unevenly",
            "−18 dBFS",
            "● mic Blue Yeti",
            "bitrate",
            "48 kb/s  this call  ] [",
            "▂   poor",
            "The last 5 minutes",
            "received     31 kb/s",
            "round trip     24 ms",
            "opinion          4.3",
            "lost in %, the last 5 minutes",
            "k Level check",
            "t Test tone",
            "? Help",
        )
        assert len(shown.lines) == size[1]
        assert any("⣀" in line or "⠤" in line or "⡇" in line for line in shown.lines), "there is a curve"


async def test_the_sound_screen_is_found_from_the_lobby_too_and_left_by_escape() -> None:
    world = World()
    async with dashboard(world, cid=None) as shown:
        await shown.press("A")
        await shown.sees("this dashboard was given its sound", "in no call: nothing is sent")
        await shown.press("m")
        await shown.sees("enter a room first")
        await shown.press("escape")
        await shown.until(lambda: isinstance(shown.app.screen, LobbyScreen))


async def test_a_device_is_chosen_tried_and_heard() -> None:
    world = world_with_sound()
    async with dashboard(world) as shown:
        await to_sound(shown)
        await shown.press("down", "enter")
        await shown.sees("microphone: Blue Yeti")
        await shown.press("down", "down", "down", "down", "enter")
        await shown.until(lambda: len(world.sound) == 2)
        assert world.sound == [("input", "Blue Yeti"), ("output", "Headset with a rather long name")]
        await shown.press("t")
        await shown.until(lambda: world.sound[-1] == ("chime", ""))
        await shown.press("k")
        await shown.sees("speak now: good, −12 dBFS at most".replace("−", "-"))
        world.meters.value = Meters(-3.0, 0.0, -96.0, trying=True)
        await shown.sees("too loud")
        world.meters.value = Meters(-40.0, -39.0, -96.0, trying=True)
        await shown.pilot.pause(0.2)
        await shown.sees("too loud")
        await shown.press("escape")
        await shown.until(lambda: world.sound[-1] == ("try", "False"), "the microphone is let go of")
        assert isinstance(shown.app.screen, RoomScreen)


async def test_meters_move_without_the_state_and_draw_only_their_line() -> None:
    world = world_with_sound()
    async with dashboard(world) as shown:
        screen = await to_sound(shown)
        levels = screen.query_one(Levels)
        drawn: list[int] = []
        plain = levels.refresh

        def refresh(*regions: Region, **more: bool) -> Levels:
            drawn.extend(region.y for region in regions)
            plain(*regions, **more)
            return levels

        levels.refresh = refresh  # type: ignore[method-assign]  # counting
        before = world.state.value
        world.meters.value = Meters(-6.0, -2.0, -18.0)
        await shown.sees("−6 dBFS")
        assert world.state.value is before
        assert set(drawn) == {0}


async def test_every_knob_turns_by_its_key() -> None:
    world = world_with_sound()
    async with dashboard(world) as shown:
        await to_sound(shown)
        for key in "][RFTXNCU":
            await shown.press(key)
        turned: list[dict[str, str | int | bool]] = [
            {"bitrate": 64_000}, {"bitrate": 32_000}, {"red_depth": 0}, {"fec": True}, {"dtx": False},
            {"expected_loss_percent": 0}, {"noise_suppression": "strong"}, {"echo_cancellation": False},
            {"gain_control": False},
        ]  # fmt: skip
        await shown.until(lambda: len(world.asked) == len(turned))
        assert world.asked == [ConfigureAudio(changes) for changes in turned]


async def test_how_loud_somebody_is_for_me_is_turned_on_both_screens() -> None:
    world = world_with_sound()
    async with dashboard(world, size=(120, 40)) as shown:
        screen = await to_sound(shown)
        await shown.press("+")
        await shown.sees("choose somebody else first")
        people = screen.query_one(People)
        people.focus()
        await shown.pilot.pause()
        people.choose(ANN.user)
        await shown.press("+", "-", "z")
        await shown.until(lambda: len(world.asked) == 3)
        louder, softer, muted = world.asked
        assert isinstance(louder, SetVolume)
        assert isinstance(softer, SetVolume)
        assert (louder.user, muted) == (ANN.user, SetPersonMuted(ANN.user, True))
        assert softer.gain < 1.0 < louder.gain
        world.change(volumes={ANN.user: 0.5}, muted_for_me=frozenset({ANN.user}))
        await shown.sees("muted for me")
        world.change(muted_for_me=frozenset())
        await shown.sees("−6 dB")
        await shown.press("escape", "down", "z")
        await shown.until(lambda: world.asked[-1] == SetPersonMuted(ANN.user, True), "z on the stage")
        await shown.sees("▸ Ann · −6 dB · poor: 12 % of what Ann sends")


def test_every_action_of_sound_is_tried_here() -> None:
    keys = {action.key for action in ACTIONS if action.group is Group.SOUND}
    assert keys == set("+-z][RFTXNCU")


@pytest.mark.parametrize("columns", [80, 100])
async def test_a_long_reason_is_never_cut(columns: int) -> None:
    world = world_with_sound()
    lost = replace(DEVICES, microphone=Line(Direction.INPUT, "", DevicePhase.LOST, "Blue Yeti", LOST))
    world.state.value = replace(world.state.value, devices=lost)
    microphone = world.state.value.calls[CID].microphone
    world.change(microphone=replace(microphone, open=False, reason=LOST))
    async with dashboard(world, size=(columns, 24)) as shown:
        await shown.until(lambda: LOST in read(shown), "the whole reason, in the room")
        shown.room.say("something else that somebody has to be told while the reason stands there", "warning")
        await shown.until(
            lambda: LOST in read(shown) and "while the reason stands there" in read(shown), "both of them"
        )
        await shown.press("A")
        await shown.until(lambda: LOST in read(shown) and "Sound" in shown.text, "the whole reason, in sound")


async def test_charts_show_another_span_another_number_and_one_person() -> None:
    world = world_with_sound()
    async with dashboard(world, size=(120, 40)) as shown:
        screen = await to_sound(shown)
        await shown.press("s")
        await shown.sees("The last 10 minutes")
        charts = screen.query_one(Charts)
        charts.focus()
        await shown.pilot.pause()
        charts.choose("jitter")
        await shown.sees("jitter in ms, the last 10 minutes")
        people = screen.query_one(People)
        people.focus()
        await shown.pilot.pause()
        people.choose(ANN.user)
        await shown.press("o")
        await shown.sees("The last 10 minutes of Ann")
        await shown.until(lambda: "round trip" not in shown.text, "what only a call has is left out")


async def test_a_new_sample_moves_the_charts_and_nothing_else_does() -> None:
    world = world_with_sound()
    async with dashboard(world) as shown:
        screen = await to_sound(shown)
        before = screen.query_one(Charts).rows
        world.change(levels={ANN.user: -20.0})
        shown.app.follow()
        assert screen.query_one(Charts).rows is before
        newest = CallStatistics(world.history[CID][-1].at + 2.0, sent_kbps=99.0)
        world.history[CID] = (*world.history[CID], newest)
        world.change(statistics=newest)
        await shown.sees("sent         99 kb/s")


async def test_each_call_has_its_own_configuration() -> None:
    world = world_with_sound()
    other = type(CID)("audio_room:other")
    world.act(HANA, GetOrCreate(title="Other room"), Join(), GoLive(), cid=other)
    audio = world.state.value.calls[CID].audio
    assert audio is not None
    world.change(other, audio=replace(audio, bitrate=24_000, origins={**audio.origins, "bitrate": "client"}))
    async with dashboard(world, size=(120, 40)) as shown:
        screen = await to_sound(shown)
        await shown.sees("Stand-up (1 of 2)", "48 kb/s  this call")
        await shown.press(">")
        await shown.sees("Other room (2 of 2)", "24 kb/s  my default")
        assert screen.query_one(Configuration).heading == "Sound of Other room"


async def test_sound_is_in_the_command_palette() -> None:
    async with dashboard(world_with_sound()) as shown:
        await to_sound(shown)
        await shown.press("ctrl+p")
        await shown.write("red: none")
        await shown.sees("RED: none", "How many earlier packets")
        await shown.press("escape")


async def test_the_stage_says_how_good_lines_are() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.pilot.pause()
        assert "▂" not in shown.text, "nothing is known yet"
        sounding(world)
        await shown.sees("▂▄  good", "▂   poor")
    async with dashboard(world, size=(120, 40)) as shown:
        await shown.sees("▂▄  good", "▂   poor")


async def test_a_device_that_comes_while_one_chooses_keeps_the_choice() -> None:
    world = world_with_sound()
    async with dashboard(world) as shown:
        screen = await to_sound(shown)
        await shown.press("down")
        fewer = replace(DEVICES, available=DEVICES.available[:1])
        world.state.value = replace(world.state.value, devices=fewer)
        await shown.until(lambda: "Headset" not in shown.text)
        chosen = screen.query_one(Devices).chosen
        assert chosen is not None
        assert chosen.choice.name == "Blue Yeti"


def test_words_are_wrapped_whole_in_columns_of_the_terminal() -> None:
    assert wrap("one two three", 7) == ("one two", "three")
    assert wrap("日本語テキスト", 4) == ("日本", "語テ", "キス", "ト")
    assert wrap("", 10) == ()
    assert "".join(wrap("x" * 25, 10)) == "x" * 25


def test_ten_minutes_of_numbers_are_drawn_in_a_blink() -> None:
    samples = minutes_of(10)
    assert len(samples) == 300
    from greenroom.views.charts import all_series

    began = time.process_time()
    for _ in range(10):
        all_series(samples, 200, 600.0)
    assert (time.process_time() - began) / 10 < 0.05
