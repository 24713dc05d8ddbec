"""What rings is over everything, is heard until it is silenced, and reaches the desktop without doing harm."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from greenroom.policies.multicall import plan
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.ring_steps import Callee, begin
from greenroom.protocol.ringing import MissedCall, Ring, RingId
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.call_settings import CallSettings, IdleTimeout, IdleWhen
from greenroom.state.engine import ClientState, LogLine
from greenroom.state.focus import Cause, Focus, Hearing, MultiCallPolicy, Standing, Suspension
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.own_requests import Stay
from greenroom.state.rings import RingsState
from greenroom.views.actions import ACTIONS
from greenroom.views.call_actions import CALL_ACTIONS
from greenroom.views.ring_actions import RING_ACTIONS
from greenroom_tui.cells import width_of
from greenroom_tui.screens.help import help_rows
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.shortcuts import ANYWHERE, CALLS, EVERYWHERE, HISTORY
from greenroom_tui.terminal import notification
from greenroom_tui.widgets.calls import fresh_note, strip_lines
from greenroom_tui.widgets.ringing import banner
from tests.tui.hostile import FORBIDDEN, NAMES
from tests.tui.looking import dashboard
from tests.tui.world import CID, HANA, standup, talking

ME = HANA.user
NOW = 1_000.0


def ring(number: int, name: str = "Bo", now: float = NOW, title: str = "") -> Ring:
    return begin(
        RingId(f"r{number}"),
        Cid(f"default:call-{number}"),
        UserId(f"caller{number}"),
        name,
        [Callee(ME, "Hana", True)],
        now,
        incoming_seconds=30.0,
        waiting_seconds=45.0,
        title=title,
    )


def ringing(*rings: Ring) -> RingsState:
    return RingsState(rings={one.cid: one for one in rings})


def in_calls(number: int, policy: MultiCallPolicy = MultiCallPolicy.SUSPEND_EXISTING) -> ClientState:
    """Hana is in `number` calls, the last of which is focused."""
    cids = [Cid(f"audio_room:{place}") for place in range(number)]
    exclusive = policy is MultiCallPolicy.SUSPEND_EXISTING
    standings = {
        cid: Standing(
            cid,
            True,
            Suspension(Cause.OTHER, 1.0, cids[-1], policy) if exclusive and cid != cids[-1] else None,
        )
        for cid in cids
    }
    focus = Focus(True, policy, standings, tuple(cids), cids[-1] if cids else None)
    calls = {
        cid: CallState(
            cid,
            ME,
            phase=CallPhase.JOINED,
            media=MediaPhase.CONNECTED,
            share=share,
            hearing=Hearing(not share.suspended, "suspended", gain_db=share.gain_db),
        )
        for cid, share in plan(focus).shares.items()
    }
    return ClientState(ME, "Hana", calls=calls, focus=focus)


# ---- the strip, as lines


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
@pytest.mark.parametrize("policy", list(MultiCallPolicy))
def test_no_line_of_the_strip_is_wider_than_the_terminal(columns: int, policy: MultiCallPolicy) -> None:
    client = in_calls(4, policy)
    missed = MissedCall(RingId("m"), Cid("default:m"), UserId("bo"), "Bo" * 40, NOW - 9.0)
    client = replace(client, rings=RingsState(missed=(missed,)))
    lines = strip_lines(client, None, columns, 3, NOW)
    assert len(lines) == 5  # three calls, how many more, and what was missed
    assert all(width_of(line.line) <= columns for line in lines)


def test_the_focused_call_is_in_the_strip_however_many_there_are_and_each_keeps_its_number() -> None:
    shown = ["".join(cell.text for cell in line.line) for line in strip_lines(in_calls(12), None, 80, 3, NOW)]
    assert shown[0].startswith(" 1 ‖ audio_room:0")
    assert any("▶ audio_room:11" in line for line in shown)
    assert "9 more calls: 0 shows all" in shown[-1]


@pytest.mark.parametrize(
    ("calls", "on_screen", "lines"),
    [
        pytest.param(0, None, 0, id="nothing without a call"),
        pytest.param(1, None, 1, id="the call in the background"),
        pytest.param(1, Cid("audio_room:0"), 0, id="the only call is on screen"),
        pytest.param(2, Cid("audio_room:0"), 2, id="both of two"),
    ],
)
def test_the_strip_takes_room_only_where_it_says_something(
    calls: int, on_screen: Cid | None, lines: int
) -> None:
    assert len(strip_lines(in_calls(calls), on_screen, 80, 3, NOW)) == lines


def test_a_note_stays_as_long_as_it_takes_to_read() -> None:
    log = (LogLine(NOW, "one two three", note=True), LogLine(NOW + 1.0, "Bo came in"))
    assert [fresh_note(log, NOW + later) is not None for later in (0.0, 6.5, 8.0)] == [True, True, False]


# ---- the banner


def test_the_banner_has_everybody_who_rings_their_seconds_and_only_keys_that_do_something() -> None:
    client = ClientState(ME, "Hana", rings=ringing(ring(1, title="weekly"), ring(2, "Cy")))
    told = banner(client, Cid("default:call-2"), False, None, NOW + 6.0)
    assert ["".join(cell.text for cell in note) for note in told.notes] == [
        " ↘ Bo calls you: weekly · 24 s",
        " ▸ Cy calls you · 24 s",
    ]
    assert [row.key for row in told.keys] == ["F2", "F3", "F4", "F6", "F7"]
    assert [row.key for row in banner(client, None, True, None, NOW).keys] == ["F2", "F3", "F4", "F6"]
    assert banner(ClientState(ME), None, False, None, NOW).notes == ()


def test_of_many_calls_that_ring_the_chosen_one_is_in_sight() -> None:
    client = ClientState(ME, "Hana", rings=ringing(*(ring(number, f"P{number}") for number in range(9))))
    words = [
        "".join(cell.text for cell in note)
        for note in banner(client, Cid("default:call-8"), False, None, NOW).notes
    ]
    assert words[2].startswith(" ▸ P8 calls you")
    assert words[-1].strip() == "9 calls ring in all"


async def test_it_rings_aloud_until_it_is_silenced_and_silence_can_be_for_good() -> None:
    world = standup()
    async with dashboard(world, cid=None) as shown:

        def rung() -> int:
            return world.sound.count(("chime", ""))

        world.state.value = replace(world.state.value, rings=ringing(ring(1, now=time.time())))
        await shown.sees("Bo calls you", "F7 Silence")
        await shown.until(lambda: rung() == 1)
        await shown.press("f7")
        await shown.until(lambda: "F7 Silence" not in shown.text)
        await shown.press("f7")
        await shown.sees("calls ring without a sound")
        world.state.value = replace(world.state.value, rings=ringing(ring(2, "Cy", time.time())))
        await shown.sees("Cy calls you")
        await shown.pilot.pause()
        assert rung() == 1
        await shown.press("f7")
        await shown.until(lambda: rung() == 2)


async def test_the_banner_is_over_questions_help_and_palette_too() -> None:
    world = standup()
    async with dashboard(world) as shown:
        world.state.value = replace(world.state.value, rings=ringing(ring(1, now=time.time())))
        for key in ("?", "M", "ctrl+p", "slash"):
            await shown.press(key)
            await shown.until(lambda: "Bo calls you" in shown.lines[0] and "F2 Accept" in shown.lines[1], key)
            assert all(cell_len(line) == 80 for line in shown.lines)
            await shown.press("escape")
            await shown.until(lambda: shown.app.screen is shown.room)


async def test_who_looks_elsewhere_sees_who_speaks_and_is_asked_to_stay() -> None:
    world = standup()
    talking(world)
    async with dashboard(world) as shown:
        await shown.press("h")
        await shown.until(lambda: isinstance(shown.app.screen, LobbyScreen))
        await shown.sees("1 · Stand-up", "● mic open", "Ann ━", "1 back")
        now = time.time()
        world.change(
            settings=CallSettings(idle_timeout=IdleTimeout(120.0, 60.0, IdleWhen.ALONE)),
            idle=Idle(IdlePhase.PROMPTING, now - 120.0, now, now + 60.0),
        )
        await shown.sees("Stand-up: nobody else is here: leaving in", "F8 Stay")
        await shown.press("f8")
        await shown.until(lambda: world.asked == [Stay()])
        await shown.press("1")
        await shown.until(lambda: shown.app.screen is shown.room)
        assert "F8" not in shown.lines[1]  # the room asks by itself


async def test_a_call_that_ends_in_the_background_says_why() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("h")
        world.change(phase=CallPhase.LEFT, left_reason="the server closed the room")
        await shown.sees("! Stand-up: the server closed the room")
        await shown.until(lambda: CID not in world.state.value.calls)


# ---- help


def test_help_has_every_key_about_calls() -> None:
    words = ["".join(cell.text for cell in row.line) for row in help_rows(None, lambda action: True, 300)]
    known = [(one.key, one.help) for one in ACTIONS]
    known += [(one.key, one.help) for one in CALL_ACTIONS]
    known += [(one.key, one.help) for one in RING_ACTIONS]
    known += [(one.key, one.help) for one in (*ANYWHERE, *CALLS, *HISTORY, *EVERYWHERE)]
    for key, what in known:
        assert any(line.split()[:1] == [key] and what in line for line in words), key


# ---- the desktop


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]9;Greenroom: Bo calls"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]9;Greenroom: Bo calls"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;Greenroom: Bo calls"),
        ({"TERM": "foot-extra"}, "\x1b]777;notify;Greenroom;Bo calls"),
        ({"TERM_PROGRAM": "ghostty", "TERM": "xterm-ghostty"}, "\x1b]777;notify;Greenroom;Bo calls"),
    ],
)
def test_a_notification_is_written_as_the_terminal_knows_it(environment: dict[str, str], start: str) -> None:
    assert notification("Bo calls", environment) == f"{start}\x1b\\"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TERM": "xterm-256color"},
        {"TERM": "linux"},
        {"TERM_PROGRAM": "WezTerm", "TMUX": "/tmp/tmux"},
        {"TERM_PROGRAM": "WezTerm", "STY": "1.pts"},
        {"TERM_PROGRAM": "WezTerm", "GREENROOM_NOTIFY": "0"},
    ],
)
def test_a_terminal_that_shows_none_is_sent_none(environment: dict[str, str]) -> None:
    assert notification("Bo calls", environment) == ""


@pytest.mark.parametrize("name", [*NAMES, "a;b", "\x1b\\\x1b]0;x\x07", "\x9c]52;c;eA=="])
@pytest.mark.parametrize("environment", [{"TERM_PROGRAM": "WezTerm"}, {"TERM": "foot"}])
def test_no_name_gets_out_of_a_notification(name: str, environment: dict[str, str]) -> None:
    sequence = notification(f"{name} calls you", environment)
    inside = (
        sequence.removesuffix("\x1b\\").removeprefix("\x1b]777;notify;Greenroom;").removeprefix("\x1b]9;")
    )
    assert sequence.endswith("\x1b\\")
    assert not set(inside) & {*FORBIDDEN, "\x1b", "\x9c", ";"}
