"""The calls that were: who, which way, what became of it, how long. One of them can be called again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from greenroom.protocol.records import (
    CallRecord,
    Direction,
    HistoryPage,
    QueryHistory,
    RecordKind,
    RecordStatus,
)
from greenroom.state.engine import ClientState
from greenroom.views.history import HistoryRow, history_rows, to_call_back
from greenroom.views.people import completed, people_called
from greenroom.views.words import count
from greenroom_tui.cells import Cell, Line, Look, clean, fit
from greenroom_tui.screens.ask import AskText
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.shortcuts import EVERYWHERE, HISTORY
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot
from greenroom_tui.widgets.keys import KeyRow, Keys, call_key
from greenroom_tui.widgets.notes import Notes
from greenroom_tui.widgets.rows import Rows

PAGE = 50
KINDS: tuple[RecordKind | None, ...] = (
    None,
    RecordKind.AUDIO,
    RecordKind.P2P,
    RecordKind.GROUP,
    RecordKind.ROOM,
)
DIRECTIONS: tuple[Direction | None, ...] = (None, Direction.INCOMING, Direction.OUTGOING)
_KIND_WORDS = {RecordKind.P2P: "direct"}
_LOOKS: dict[str, Look] = {"●": "good", "✓": "plain", "!": "warn"}
WIDE = 96


class Records(Rows[HistoryRow]):
    """A line for each call: when, which way, who, what became of it, how long, and why where there is room."""

    EMPTY = "no such calls"

    def key_of(self, row: HistoryRow) -> str:
        return row.id

    def draw(self, row: HistoryRow, columns: int) -> Line:
        wide = columns >= WIDE
        when, kind, status, long = 12, 8 if wide else 0, 18, 12
        who = max(10, min(34, columns - when - kind - status - long - 4))
        why = max(0, columns - when - kind - status - long - who - 4)
        return (
            Cell(fit(row.when, when), "dim"),
            Cell(f"{row.arrow} ", "warn" if row.is_missed else "plain"),
            Cell(fit(row.who, who), "strong"),
            Cell(fit(f" {row.kind}", kind), "dim"),
            Cell(fit(f" {row.mark} {row.status}", status), _LOOKS.get(row.mark, "dim")),
            Cell(fit(row.long, long, "right"), "plain"),
            Cell(fit(f"  {row.reason}", why), "dim"),
        )


class HistoryScreen(RoomsideScreen):
    """Pages of calls, newest first, with filters."""

    SHORTCUTS = HISTORY
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("enter", "call_back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._query = QueryHistory(limit=PAGE)
        self._page: HistoryPage | None = None
        self._asked = 0

    def compose(self) -> ComposeResult:
        yield Bar(id="header")
        yield Notes(id="notice")
        yield Records(id="records")
        yield Foot()
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self.query_one(Records).focus()
        self.refresh_state()
        self.action_again()

    def on_screen_suspend(self) -> None:
        self.dashboard.calls.seen_missed()

    # ---- state in

    def show(self, state: ClientState, now: float) -> None:
        self.query_one("#header", Bar).show(
            (Cell(" History ", "accent"), Cell(f" {self._filter_words()}", "strong")),
            self.connection_line(state, now) or (Cell("Esc goes back ", "dim"),),
        )
        self.query_one("#notice", Notes).show(self.notice_line(now))
        listed = self.query_one(Records)
        records = () if self._page is None else self._page.records
        listed.head("asking…" if self._page is None else _page_words(self._page))
        listed.show(history_rows(records, state.user, now, _clock))
        self.query_one(Keys).show(
            (*(KeyRow(one.key, one.label) for one in HISTORY if self._makes_sense(one.key)), call_key()),
            tuple(KeyRow(one.key, one.label) for one in EVERYWHERE if one.key in "?q"),
        )

    def _makes_sense(self, key: str) -> bool:
        page = self._page
        return {
            "<": page is not None and page.newer is not None,
            ">": page is not None and page.older is not None,
            "Enter": bool(page and page.records),
        }.get(key, True)

    def _filter_words(self) -> str:
        query = self._query
        parts = [
            "missed" if query.statuses else "",
            query.direction.value if query.direction is not None else "",
            " or ".join(_KIND_WORDS.get(kind, kind.value) for kind in query.kinds),
            f"with {query.participant}" if query.participant is not None else "",
        ]
        words = " ".join(part for part in parts if part)
        return clean(f"only {words}" if words else "all calls", 80)

    # ---- filters and pages

    def action_again(self) -> None:
        """Ask for the page again."""
        self.run_worker(self._ask(), exclusive=True, exit_on_error=False)

    async def _ask(self) -> None:
        page = await self.dashboard.call_history(self._query)
        if page is not None and self.is_attached:
            self._page = page
            known = {record.id: record for record in (*self.dashboard.calls.records, *page.records)}
            self.dashboard.calls.records = tuple(known.values())[-500:]
            self.refresh_state()

    def _filtered(self, query: QueryHistory) -> None:
        self._query = replace(query, after=None, before=None)
        self.action_again()
        self.refresh_state()

    def action_next_kind(self) -> None:
        """Show the next type of calls, or all again."""
        now = self._query.kinds[0] if self._query.kinds else None
        kind = KINDS[(KINDS.index(now) + 1) % len(KINDS)]
        self._filtered(replace(self._query, kinds=() if kind is None else (kind,)))

    def action_next_direction(self) -> None:
        """Show calls of one direction, or of both again."""
        place = DIRECTIONS.index(self._query.direction)
        self._filtered(replace(self._query, direction=DIRECTIONS[(place + 1) % len(DIRECTIONS)]))

    def action_missed_only(self) -> None:
        """Show missed calls only, or all again."""
        self._filtered(replace(self._query, statuses=() if self._query.statuses else (RecordStatus.MISSED,)))

    def action_person(self) -> None:
        """Show calls with one person; nobody: with all."""
        known = self.dashboard.calls.people()

        def answered(text: str | None) -> None:
            if text is not None:
                person = people_called(text, known)[0] if text.strip() else None
                self._filtered(replace(self._query, participant=person))

        self.app.push_screen(
            AskText(
                "Calls with whom?",
                self._query.participant or "",
                "a name or user id; nothing for everybody; → completes a name",
                check=lambda text: people_called(text, known) if text.strip() else (),
                complete=lambda text: completed(text, known),
            ),
            answered,
        )

    def action_older(self) -> None:
        """Go to older calls."""
        self._turn(after=None if self._page is None else self._page.older)

    def action_newer(self) -> None:
        """Go to newer calls."""
        self._turn(before=None if self._page is None else self._page.newer)

    def _turn(self, after: str | None = None, before: str | None = None) -> None:
        if after is None and before is None:
            self.say("there are no more calls that way")
            return
        self._query = replace(self._query, after=after, before=before)
        self.action_again()

    # ---- what is done

    def take_key(self, key: str) -> bool:
        if key in ("Enter", "\r"):
            self.action_call_back()
            return True
        return super().take_key(key)

    @property
    def record(self) -> CallRecord | None:
        """The chosen call."""
        row = self.query_one(Records).chosen
        records: Sequence[CallRecord] = () if self._page is None else self._page.records
        return next((record for record in records if row is not None and record.id == row.id), None)

    def action_call_back(self) -> None:
        """Ask whether to call the people of the chosen call, or go into its room."""
        record = self.record
        if record is None:
            self.say("there is no call to repeat", "warning")
            return
        if record.kind is RecordKind.ROOM:
            self.dashboard.enter(record.cid)
            return
        people = to_call_back(record, self.dashboard.engine_state.user)
        self.dashboard.calls.call_people(", ".join(people))

    def action_back(self) -> None:
        """Go where one came from."""
        if self.app.screen is self:
            self.app.pop_screen()


def _page_words(page: HistoryPage) -> str:
    more = " · > older" if page.older is not None else ""
    newer = " · < newer" if page.newer is not None else ""
    return f"{count(len(page.records), 'call')}{more}{newer}"


def _clock(at: float) -> str:
    """Return a wall-clock time as short as it can be: the day too, unless it was today."""
    try:
        then, now = time.localtime(at), time.localtime()
    except (OverflowError, ValueError, OSError):
        return "some time"
    same_day = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M" if same_day else "%d %b %H:%M", then)
