"""Every call in a line each, at the foot of every screen; and above it what a story has to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Click, Resize
from textual.message import Message
from textual.strip import Strip

from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState, LogLine
from greenroom.views.call_actions import NUMBERS, calls_here
from greenroom.views.calls import CallRow, call_rows, rule_words
from greenroom.views.rings import missed_count_words, missed_rows
from greenroom.views.stage import SpeakerRow, stage_rows
from greenroom.views.status import status_words
from greenroom_tui.cells import Cell, Line, Look, clean, crop, fit, meter_cells, spread, width_of, wrap
from greenroom_tui.widgets.looks import Looks

WIDE = 110
LOW = 30
METER = 6
MOST_CAPTION = 3
CAPTION_SECONDS, SECONDS_A_WORD = 6.0, 0.3
_MICROPHONES: dict[str, tuple[str, Look]] = {
    "open": ("● mic open", "good"),
    "closed": ("× mic closed", "dim"),
    "elsewhere": ("· mic away", "dim"),
}
_HEARD: dict[str, tuple[str, Look]] = {
    "full": ("♪ heard", "plain"),
    "softer": ("♪ softer", "plain"),
    "silent": ("– silent", "dim"),
}


class StripLine(NamedTuple):
    """One line of the strip; `cid` is the call it is about, if it is about one."""

    cid: Cid | None
    line: Line


def strip_lines(
    client: ClientState,
    on_screen: Cid | None,
    columns: int,
    most: int,
    now: float,
    *,
    with_keys: bool = True,
) -> list[StripLine]:
    """Return a line for each call, at most `most`, and one for missed calls.

    There are none for calls when the only one is `on_screen`. The focused call, while it is not on screen, shows who
    speaks: it is what one has in the background. `with_keys`: say the keys that do something, as they do here.
    """
    rows = call_rows(client)
    lines: list[StripLine] = []
    if rows and [row.cid for row in rows] != [on_screen]:
        shown = _some(rows, most, on_screen)
        for row in shown:
            number = rows.index(row) + 1
            if _is_small(row, rows, on_screen):
                lines.append(StripLine(row.cid, _small_line(client, row, number, columns, now, with_keys)))
            else:
                lines.append(StripLine(row.cid, row_line(row, number, columns)))
        if len(rows) > 1 and columns >= WIDE and with_keys:
            policy: Line = (
                Cell(f"{rule_words(client.focus.policy)} ", "dim"),
                Cell("."),
                Cell(" changes ", "dim"),
            )
            lines[0] = lines[0]._replace(line=spread(lines[0].line, policy, columns))
        if len(shown) < len(rows):
            more = f"   … and {len(rows) - len(shown)} more calls: 0 shows all"
            lines.append(StripLine(None, (Cell(fit(more, columns), "dim"),)))
    missed = missed_rows(client, now)
    if missed:
        words = f"{missed_count_words(client)}, the newest from {missed[0].caller} {missed[0].ago} ago"
        told: Line = (Cell(" ! ", "warn"), Cell(clean(words, max(0, columns - 18)), "warn"))
        keys: Line = (Cell("H", "key"), Cell(" shows them ", "dim"))
        lines.append(StripLine(None, spread(told, keys if with_keys else (), columns)))
    return lines


def speakers_line(speakers: Sequence[SpeakerRow], columns: int) -> Line:
    """Return who speaks now with their levels, as many as fit into `columns`."""
    line: list[Cell] = []
    for row in speakers:
        name = clean("you" if row.me else row.name, 14)
        piece: Line = (Cell(f"{name} ", "strong"), *meter_cells(row.meter, METER), Cell("  "))
        if width_of(line) + width_of(piece) > columns:
            break
        line += piece
    return tuple(line)


def fresh_note(log: Sequence[LogLine], now: float) -> LogLine | None:
    """Return the newest note while there is time to read it: 6 s, and more for many words."""
    note = next((line for line in reversed(log[-40:]) if line.note), None)
    if note is None or now - note.at >= CAPTION_SECONDS + SECONDS_A_WORD * len(note.text.split()):
        return None
    return note


class CallsStrip(Looks):
    """The lines of `strip_lines`; a click on a call is the same as its number."""

    class Picked(Message):
        """Somebody clicked on a call."""

        def __init__(self, cid: Cid) -> None:
            super().__init__()
            self.cid = cid

    def __init__(self, *, with_keys: bool = True) -> None:
        super().__init__()
        self._with_keys = with_keys
        self._shown: tuple[ClientState, Cid | None, float] | None = None
        self._lines: list[StripLine] = []

    def show(self, client: ClientState, on_screen: Cid | None, now: float) -> None:
        """Show the calls of `client`, of which `on_screen` is looked at."""
        self._shown = (client, on_screen, now)
        self._draw()

    def on_resize(self, _event: Resize) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        line = self._lines[y].line if y < len(self._lines) else ()
        return self.strip(line, self.size.width)

    def on_click(self, event: Click) -> None:
        if event.y < len(self._lines) and (cid := self._lines[event.y].cid) is not None:
            self.post_message(self.Picked(cid))

    def _draw(self) -> None:
        if self._shown is None:
            return
        most = 3 if self.app.size.height < LOW else 5
        client, on_screen, now = self._shown
        lines = strip_lines(client, on_screen, self.app.size.width, most, now, with_keys=self._with_keys)
        if lines == self._lines:
            return
        self._lines = lines
        self.display = bool(lines)
        if self.styles.height is None or self.styles.height.value != len(lines):
            self.styles.height = max(1, len(lines))
        self.refresh()


class Caption(Looks):
    """What a story has to say, for some seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[str, ...] = ()

    def show(self, words: str) -> None:
        """Say `words`; nothing takes no room."""
        lines = wrap(words, max(10, self.app.size.width - 4))[:MOST_CAPTION]
        if lines == self._lines:
            return
        self._lines = lines
        self.display = bool(lines)
        self.styles.height = max(1, len(lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        words = self._lines[y] if y < len(self._lines) else ""
        return self.strip(
            (Cell(" ❯ " if y == 0 else "   ", "accent"), Cell(words, "strong")), self.size.width
        )


class Foot(Vertical):
    """Caption and calls, above the keys of a screen."""

    def __init__(self, on_screen: Cid | None = None, *, strip: bool = True) -> None:
        super().__init__()
        self.on_screen = on_screen
        self._strip = strip

    def compose(self) -> ComposeResult:
        yield Caption()
        if self._strip:
            yield CallsStrip(with_keys=not self.screen.is_modal)

    def follow(self, client: ClientState, now: float) -> None:
        """Show `client` as it is now, wall-clock."""
        note = fresh_note(client.log, now)
        self.query_one(Caption).show("" if note is None else note.text)
        for strip in self.query(CallsStrip):
            strip.show(client, self.on_screen, now)


def _some(rows: tuple[CallRow, ...], most: int, on_screen: Cid | None) -> list[CallRow]:
    """Return at most `most` rows in their order: the focused call and the one on screen are among them."""
    if len(rows) <= most:
        return list(rows)
    first = [row for row in rows if row.focused or row.cid == on_screen]
    kept = [*first, *(row for row in rows if row not in first)][:most]
    return [row for row in rows if row in kept]


def _is_small(row: CallRow, rows: tuple[CallRow, ...], on_screen: Cid | None) -> bool:
    """Tell whether a call is shown small: the one in the background one is in."""
    return row.cid != on_screen and not row.suspended and (row.focused or len(rows) == 1)


def row_line(row: CallRow, number: int, columns: int) -> Line:
    """Return one call: its number, title, microphone, what is heard, and in few words why it is not everything."""
    key = str(number) if number <= len(NUMBERS) else " "
    title = max(10, min(24, columns // 4))
    mark, look = _mark(row)
    head: Line = (
        Cell(f" {key} ", "key"),
        Cell(f"{mark} ", look),
        Cell(fit(row.title, title), look),
        Cell(" "),
    )
    if row.status != "in the call":
        return crop((*head, Cell(clean(f"{row.status} · {row.because}", 200), "warn")), columns)
    if row.suspended:
        return crop((*head, Cell(clean(row.because, 200), "warn")), columns)
    microphone, open_look = _MICROPHONES[row.microphone]
    heard, heard_look = _HEARD[row.heard]
    place = f"♪ {row.place}" if row.place else heard
    held: Line = (Cell(fit(microphone, 13), open_look), Cell(fit(place, 11), heard_look))
    left = columns - width_of(head) - width_of(held)
    return (*head, *held, Cell(clean(row.because, left), "dim"))


def _small_line(
    client: ClientState, row: CallRow, number: int, columns: int, now: float, with_keys: bool
) -> Line:
    """Return the call one is in while looking at something else: who speaks there, and the key that goes back."""
    key = str(number) if number <= len(NUMBERS) else "0"
    line = row_line(msgspec.structs.replace(row, because=""), number, columns)
    call = next(call for call in calls_here(client) if call.cid == row.cid)
    back: Line = (Cell(key, "key"), Cell(" back ", "dim")) if with_keys else ()
    left = columns - width_of(line) - width_of(back) - 1
    speakers = [one for one in stage_rows(call) if one.speaking]
    rest = speakers_line(speakers, left) or (
        Cell(clean(row.because or status_words(call, now), left), "dim"),
    )
    return spread((*line, *rest), back, columns)


def _mark(row: CallRow) -> tuple[str, Look]:
    if row.suspended:
        return "‖", "dim"
    return ("▶", "strong") if row.focused else ("·", "plain")
