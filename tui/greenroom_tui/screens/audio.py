"""Sound: devices and their levels, what each call's sound is made of, how others are heard, the last minutes in numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from greenroom.protocol.ids import Cid, UserId
from greenroom.state.call import CallPhase, CallState
from greenroom.state.devices import Direction
from greenroom.state.devices import Line as DeviceLine
from greenroom.state.engine import ClientState
from greenroom.state.statistics import CallStatistics
from greenroom.views.actions import ACTIONS, Action, Chosen, Group, Target, label_of
from greenroom.views.audio import acting_words, audio_rows
from greenroom.views.charts import SPANS_SECONDS, all_series, span_words
from greenroom.views.devices import choice_rows, level_words, line_words
from greenroom.views.log import name_of
from greenroom.views.quality import advice, quality_words
from greenroom.views.quality import level_words as decibels
from greenroom.views.stage import meter, stage_rows
from greenroom.views.status import microphone_words, title_words
from greenroom_tui.cells import Cell, Line, clean
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.shortcuts import EVERYWHERE, SOUND
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.charts import Charts, Curve
from greenroom_tui.widgets.keys import KeyRow, Keys
from greenroom_tui.widgets.levels import Level, Levels
from greenroom_tui.widgets.notes import Notes
from greenroom_tui.widgets.rows import Rows
from greenroom_tui.widgets.sound import (
    Configuration,
    Devices,
    People,
    configuration_lines,
    device_lines,
    person_lines,
)

LEVELS_A_SECOND = 12
MOST_POINTS = 300
SHORT = 30
HERE = (CallPhase.JOINING, CallPhase.JOINED, CallPhase.RECONNECTING)
_KNOBS = {
    "bitrate": "] [",
    "red_depth": "R",
    "fec": "F",
    "dtx": "T",
    "expected_loss_percent": "X",
    "noise_suppression": "N",
    "echo_cancellation": "C",
    "gain_control": "U",
}
_FIRST = ("microphone", "louder", "softer", "silence", "bitrate_up", "bitrate_down", "red", "fec", "dtx")


class AudioScreen(RoomsideScreen):
    """Everything about sound, for one call after the other, or for the devices alone."""

    SHORTCUTS = SOUND
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("enter", "use_device", show=False),
    ]

    def __init__(self, cid: Cid | None) -> None:
        super().__init__()
        self.cid = cid
        self._state: ClientState | None = None
        self._call: CallState | None = None
        self._span = SPANS_SECONDS[1]
        self._of_person = False
        self._loudest_dbfs = -96.0
        self._told = -1
        self._charted: object = None
        self._checked: Line = ()

    def compose(self) -> ComposeResult:
        yield Bar(id="header")
        yield Notes(id="notice")
        with Horizontal(id="panels"):
            with Vertical(id="left"):
                yield Levels(id="levels")
                yield Devices(id="devices")
                yield Configuration(id="configuration")
            with Vertical(id="right"):
                yield People(id="people")
                yield Charts(id="charts")
                yield Curve(id="curve")
        yield Foot()
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self.query_one(Devices).focus()
        self.set_interval(1 / LEVELS_A_SECOND, self.show_levels)
        self.refresh_state()

    def on_unmount(self) -> None:
        if self.dashboard.meters.trying:
            self.dashboard.try_microphone(False)

    def on_resize(self) -> None:
        self._charted = None
        self.call_after_refresh(self.refresh_state)

    # ---- state in

    def show(self, state: ClientState, now: float) -> None:
        self._state = state
        calls = [cid for cid, call in state.calls.items() if call.phase in HERE]
        if self.cid not in calls:
            self.cid = state.focus.focused if state.focus.focused in calls else next(iter(calls), None)
        self._call = None if self.cid is None else state.calls[self.cid]
        self._show_heads(state, calls, now)
        self._show_devices(state)
        self._show_configuration(calls)
        self._show_people()
        self._show_charts()
        self._show_keys()

    def show_levels(self) -> None:
        """Move the meters: they do not wait for the state."""
        if not self.is_mounted or self._state is None:
            return
        meters, devices = self.dashboard.meters, self._state.devices
        if meters.trying:
            self._loudest_dbfs = max(self._loudest_dbfs, meters.microphone_peak_dbfs)
        microphone = None if devices is None else devices.microphone
        speaker = None if devices is None else devices.speaker
        levels = [
            _level("microphone", microphone, meters.microphone_dbfs, meters.trying or self._call is not None),
            _level("loudspeaker", speaker, meters.loudspeaker_dbfs, True),
        ]
        self.query_one(Levels).show(levels)
        if self._check_line() != self._checked:
            self._show_notes(time.time())

    def _show_heads(self, state: ClientState, calls: Sequence[Cid], now: float) -> None:
        call = self._call
        title = "" if call is None else f" {clean(title_words(call), 60)}"
        place = (
            f" ({calls.index(call.cid) + 1} of {len(calls)})" if call is not None and len(calls) > 1 else ""
        )
        self.query_one("#header", Bar).show(
            (Cell(" Sound ", "accent"), Cell(f"{title}{place}", "strong")),
            self.connection_line(state, now) or (Cell("Esc goes back ", "dim"),),
        )
        self._tell()
        self._show_notes(now)

    def _show_notes(self, now: float) -> None:
        self._checked = self._check_line()
        self.query_one("#notice", Notes).show(
            self._microphone_line(),
            self._checked,
            self.notice_line(now),
            self._problem_line(),
            self._quality_line(),
        )

    def _check_line(self) -> Line:
        """Return what the level check says so far."""
        devices = None if self._state is None else self._state.devices
        if devices is None or not self.dashboard.meters.trying:
            return ()
        words = level_words(devices.microphone, self._loudest_dbfs)
        return (Cell(" ◉ ", "accent"), Cell(f"speak now: {words}", "plain"))

    def _tell(self) -> None:
        notices = () if self._call is None else self._call.notices
        if notices and notices[-1].id != self._told:
            first, self._told = self._told < 0, notices[-1].id
            if not first:
                self._notice = (notices[-1].text, notices[-1].tone, notices[-1].at)

    def _microphone_line(self) -> Line:
        call = self._call
        if call is None:
            return ()
        is_open = call.microphone.open
        return (
            Cell(" ● " if is_open else " × ", "good" if is_open else "dim"),
            Cell(clean(microphone_words(call), 600), "plain" if is_open else "dim"),
        )

    def _quality_line(self) -> Line:
        call = self._call
        if call is None or call.me not in call.lines:
            return ()
        helps = advice(call)
        words = f"your line is {quality_words(call, call.me)}" + (
            "" if helps is None else f" — {helps.words}"
        )
        return (Cell(" ≈ ", "accent"), Cell(clean(words, 600), "dim" if helps is None else "plain"))

    def _problem_line(self) -> Line:
        devices = None if self._state is None else self._state.devices
        words = "this dashboard was given its sound: there are no devices to choose"
        if devices is not None:
            words = devices.problem or _lost_words(devices.microphone, devices.speaker)
        if self._call is not None and words and words in microphone_words(self._call):
            return ()  # said already
        return (Cell(" ! ", "warn"), Cell(clean(words, 600), "warn")) if words else ()

    def _show_devices(self, state: ClientState) -> None:
        rows = () if state.devices is None else choice_rows(state.devices)
        listed = self.query_one(Devices)
        listed.head("Devices")
        lines = device_lines(rows, listed.columns)
        listed.show(lines)
        self._height(listed, len(lines), self._most(listed))

    def _show_configuration(self, calls: Sequence[Cid]) -> None:
        listed, call = self.query_one(Configuration), self._call
        if call is None or call.audio is None:
            listed.head("Sound of no call")
            listed.show(())
            return
        rows = sorted(audio_rows(call.audio), key=lambda row: not (row.changeable and row.name in _KNOBS))
        acting = acting_words(call.audio.acting)
        live = call.live_audio
        if live is not None:
            sent = f"sent now: {live.red_depth} repeated, {live.expected_loss_percent} % loss expected"
            acting = f"{acting} · {sent}"
        listed.head(f"Sound of {title_words(call)}" if len(calls) > 1 else "What your sound is made of")
        listed.show(configuration_lines(rows, _KNOBS, acting, listed.columns))

    def _show_people(self) -> None:
        listed, call = self.query_one(People), self._call
        rows = () if call is None else stage_rows(call)
        lines = person_lines(rows, listed.columns)
        listed.head("How others are heard, and their lines")
        listed.show(lines)
        self._height(listed, len(lines), self._most(listed))

    def _show_charts(self) -> None:
        charts, curve, call = self.query_one(Charts), self.query_one(Curve), self._call
        person = self.person if self._of_person else None
        about = (call.cid, call.statistics) if call is not None else None
        shown = (about, person, self._span, charts.size, curve.size, charts.chosen and charts.chosen.id)
        if shown == self._charted:
            return
        self._charted = shown
        history: Sequence[CallStatistics] = () if call is None else self.dashboard.history(call.cid)
        whose = "" if call is None or person is None else f" of {name_of(call.room, person)}"
        charts.head(f"The last {span_words(self._span)}{whose}")
        charts.show(all_series(history, min(MOST_POINTS, charts.points), self._span, person))
        chosen = charts.chosen.id if charts.chosen is not None else "lost"
        found = all_series(history, min(MOST_POINTS, curve.points), self._span, person)
        curve.show(next((one for one in found if one.id == chosen), None), self._span)
        if charts.chosen is None:
            charts.choose(chosen)
        self._height(charts, len(charts.rows), 7)

    def _show_keys(self) -> None:
        def place(action: Action) -> int:
            return _FIRST.index(action.id) if action.id in _FIRST else 100

        call = self._call
        actions = sorted((action for action in self.actions() if self.possible(action)), key=place)
        rows = [KeyRow(action.key, label_of(action, call)) for action in actions] if call is not None else []
        own = [KeyRow(shortcut.key, shortcut.label) for shortcut in SOUND if shortcut.key in "ktso"]
        always = tuple(
            KeyRow(shortcut.key, shortcut.label) for shortcut in EVERYWHERE if shortcut.key in "?q"
        )
        self.query_one(Keys).show((*own, *rows), always)

    def _height(self, rows: Rows[object] | Devices | People | Charts, wanted: int, most: int) -> None:
        height = min(most, max(1, wanted)) + 1
        if rows.styles.height is None or rows.styles.height.value != height:
            rows.styles.height = height

    def _most(self, rows: Devices | People) -> int:
        """How many lines a list may have: few on a small terminal while another one is looked at."""
        small = self.size.height < SHORT and not rows.has_focus
        return 3 if small else max(3, self.size.height // 4)

    # ---- what is selected

    @property
    def person(self) -> UserId | None:
        """The person actions are about: the chosen one of the list of people."""
        row = self.query_one(People).chosen
        return None if row is None else row.user

    def subject(self) -> CallState | None:
        return self._call

    def actions(self) -> tuple[Action, ...]:
        return tuple(action for action in ACTIONS if action.group is Group.SOUND or action.id == "microphone")

    def possible(self, action: Action) -> bool:
        """Tell whether `action` makes sense now, with who is chosen."""
        user = self.person if action.target is Target.PERSON else None
        return self._call is not None and action.available(self._call, user)

    @on(Rows.Chosen)
    def _chosen(self) -> None:
        self.refresh_state()

    def on_descendant_focus(self) -> None:
        self.refresh_state()

    # ---- actions out

    def take_key(self, key: str) -> bool:
        if key in ("Enter", "\r"):
            self.action_use_device()
            return True
        action = next((action for action in self.actions() if action.key == key), None)
        if action is None:
            return super().take_key(key)
        self.take(action)
        return True

    def take(self, action: Action) -> None:
        """Do `action`, or say why not."""
        call = self._call
        if call is None:
            self.say("this is about a call: enter a room first", "warning")
            return
        if not self.possible(action):
            hint = ": choose somebody else first, with Tab and the arrow keys"
            needs = action.target is Target.PERSON
            self.say(f"“{label_of(action, call)}” is not possible now{hint if needs else ''}", "warning")
            return
        request = action.build(call, Chosen(user=self.person))
        if request is not None:
            self.dashboard.perform(call.cid, request)

    def action_use_device(self) -> None:
        """Use the chosen device."""
        line = self.query_one(Devices).chosen
        if line is None:
            self.say("there is no device to choose", "warning")
            return
        row = line.choice
        kind = "microphone" if row.direction is Direction.INPUT else "loudspeaker"
        if self.dashboard.choose_device(row.direction, row.wish):
            self._loudest_dbfs = -96.0
            self.say(f"{kind}: {row.name}")

    def action_check_level(self) -> None:
        """Listen to the microphone for its level, or stop."""
        self._loudest_dbfs = -96.0
        self.dashboard.try_microphone(not self.dashboard.meters.trying)

    def action_play_chime(self) -> None:
        """Play a tone on the loudspeaker."""
        self.say("a soft tone is played")
        self.dashboard.play_chime()

    def action_next_span(self) -> None:
        """Show more time, or the least again."""
        place = SPANS_SECONDS.index(self._span)
        self._span = SPANS_SECONDS[(place + 1) % len(SPANS_SECONDS)]
        self.refresh_state()

    def action_whose(self) -> None:
        """Show the numbers of the chosen person, or of the whole call again."""
        self._of_person = not self._of_person
        self.refresh_state()

    def action_next_call(self) -> None:
        """Look at the next call."""
        state = self._state
        calls = [] if state is None else [cid for cid, call in state.calls.items() if call.phase in HERE]
        if len(calls) < 2 or self.cid not in calls:
            self.say("there is no other call")
            return
        self.cid = calls[(calls.index(self.cid) + 1) % len(calls)]
        self._told = -1
        self.refresh_state()

    def action_next_list(self) -> None:
        self.focus_next(Rows)

    def action_back(self) -> None:
        """Go where one came from."""
        if self.app.screen is self:
            self.app.pop_screen()


def _level(label: str, line: DeviceLine | None, level_dbfs: float, wanted: bool) -> Level:
    if line is not None and not line.usable:
        return Level("×", "dim", label, None, "", line_words(line) if wanted else "off until a call, or k")
    name = "" if line is None else line.device
    words = decibels(level_dbfs) if level_dbfs > -90.0 else "silent"
    return Level("●", "good", label, meter(level_dbfs), words, name)


def _lost_words(*lines: DeviceLine) -> str:
    reasons = [line.reason for line in lines if not line.usable and line.reason]
    return "; ".join(dict.fromkeys(reasons))
