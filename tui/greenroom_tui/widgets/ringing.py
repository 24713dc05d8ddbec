"""Calls that ring for us, calls we placed, and calls about to end unused: over everything, with the keys that answer."""

from __future__ import annotations

from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip

from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState
from greenroom.state.idle import IdlePhase
from greenroom.views.call_actions import calls_here
from greenroom.views.calls import title_of
from greenroom.views.idle import idle_words
from greenroom.views.rings import incoming_rows, outgoing_rows
from greenroom_tui.cells import Cell, Line, Look, clean, wrap
from greenroom_tui.shortcuts import ANYWHERE
from greenroom_tui.widgets.keys import KeyRow, Keys
from greenroom_tui.widgets.looks import Looks

MOST_INCOMING = 3
_KEY_OF = {shortcut.method: shortcut for shortcut in ANYWHERE}


class BannerState(NamedTuple):
    """What the banner says: a note each, and the keys that do something about it."""

    notes: tuple[Line, ...]
    keys: tuple[KeyRow, ...]


def banner(
    client: ClientState, chosen: Cid | None, silenced: bool, on_screen: Cid | None, now: float
) -> BannerState:
    """Return what must be seen wherever one is. `chosen` is which of several incoming calls the keys are about.

    The call `on_screen` asks by itself whether one stays.
    """
    notes: list[Line] = []
    keys: list[KeyRow] = []
    rings = incoming_rows(client, now)
    at = next((place for place, row in enumerate(rings) if row.cid == chosen), 0)
    first = max(0, min(at, len(rings) - MOST_INCOMING))
    for row in rings[first : first + MOST_INCOMING]:
        marked = row is rings[at]
        words = " · ".join(part for part in (row.words, row.others, row.waits) if part)
        notes.append(_note("▸" if marked and len(rings) > 1 else "↘", words, "strong" if marked else "plain"))
    if len(rings) > MOST_INCOMING:
        notes.append(_note(" ", f"{len(rings)} calls ring in all", "dim"))
    if rings:
        keys += [_key("answer"), _key("reject_now"), _key("busy")]
        keys += [_key("next_ringing")] if len(rings) > 1 else []
        keys += [] if silenced else [_key("silence_ring")]
    placed = outgoing_rows(client, now)
    for call in placed:
        people = f" ({', '.join(call.people)})" if call.people else ""
        waits = f" · {call.waits}" if call.waits else ""
        notes.append(_note("↗", f"{call.words}{people}{waits}", "plain"))
    keys += [_key("hang_up")] if placed else []
    prompts = [
        call
        for call in calls_here(client)
        if call.idle.phase is IdlePhase.PROMPTING and call.cid != on_screen
    ]
    for prompting in prompts:
        notes.append(_note("!", f"{title_of(prompting)}: {idle_words(prompting, now)}", "warn"))
    keys += [_key("stay_in")] if prompts else []
    return BannerState(tuple(notes), tuple(keys))


class Banner(Vertical):
    """The banner, which is put on whichever screen is on top."""

    def compose(self) -> ComposeResult:
        yield Lines()
        yield Keys()

    def show(self, state: BannerState) -> None:
        """Say what `state` says; nothing takes no room."""
        self.display = bool(state.notes)
        if self.is_mounted and state.notes:
            for lines in self.query(Lines):  # none on a screen that is just being left
                lines.show(state.notes)
            for keys in self.query(Keys):
                keys.show(state.keys, ())


class Lines(Looks):
    """Notes, each with lines of its own: a mark, and words that wrap."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    def show(self, notes: tuple[Line, ...]) -> None:
        """Say `notes`, one below the other."""
        columns = max(10, self.app.size.width - 4)
        lines: list[Line] = []
        for mark, words in notes:
            for place, piece in enumerate(wrap(words.text, columns)):
                lines.append((mark if place == 0 else Cell("   "), Cell(piece, words.look)))
        if lines != self._lines:
            self._lines = lines
            self.styles.height = max(1, len(lines))
            self.refresh()

    def render_line(self, y: int) -> Strip:
        return self.strip(self._lines[y] if y < len(self._lines) else (), self.size.width)


def _note(mark: str, words: str, look: Look) -> Line:
    return (Cell(f" {mark} ", "warn"), Cell(clean(words, 400), look))


def _key(method: str) -> KeyRow:
    shortcut = _KEY_OF[method]
    return KeyRow(shortcut.key, shortcut.label)
