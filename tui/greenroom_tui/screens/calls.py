"""Every call with who has microphone and loudspeaker and why, what rings, and what was missed."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from greenroom.protocol.ids import Cid, UserId
from greenroom.state.call import CallState
from greenroom.state.engine import ClientState
from greenroom.views.call_actions import calls_here
from greenroom.views.calls import CallRow, call_rows, holder_words, policy_words, rule_words
from greenroom.views.rings import incoming_rows, missed_rows, outgoing_rows
from greenroom.views.stage import stage_rows
from greenroom.views.words import count, enumerate_names
from greenroom_tui.cells import Cell, Line, Look, clean, fit
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.shortcuts import CALLS, EVERYWHERE
from greenroom_tui.widgets.bar import Bar
from greenroom_tui.widgets.calls import Foot, row_line
from greenroom_tui.widgets.keys import KeyRow, Keys, call_keys
from greenroom_tui.widgets.notes import Notes
from greenroom_tui.widgets.rows import Rows

WAY: dict[str, tuple[str, Look]] = {
    "incoming": ("↘", "warn"),
    "outgoing": ("↗", "plain"),
    "missed": ("!", "warn"),
}


class Entry(NamedTuple):
    """Something in the list. `kind`: call, incoming, outgoing, missed. `detail` is its second line."""

    kind: str
    cid: Cid
    words: str
    detail: str
    row: CallRow | None = None
    number: int = 0
    by: UserId | None = None
    second: bool = False


class CallList(Rows[Entry]):
    """Calls that ring, calls one is in, calls that were missed; two lines each."""

    EMPTY = "you are in no call: K calls somebody, h goes to the rooms"

    def key_of(self, row: Entry) -> str:
        return f"{row.kind} {row.cid} {row.by}"

    def draw(self, row: Entry, columns: int) -> Line:
        if row.second:
            return (Cell("     "), Cell(fit(row.detail, max(0, columns - 5)), "dim"))
        if row.row is not None:
            return row_line(row.row, row.number, columns)
        mark, look = WAY[row.kind]
        return (Cell("   "), Cell(f"{mark} ", look), Cell(fit(row.words, max(0, columns - 5)), "strong"))


class CallsScreen(RoomsideScreen):
    """A list of calls; the keys about calls are about the chosen one."""

    SHORTCUTS = CALLS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("enter", "go_there", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._state: ClientState | None = None

    def compose(self) -> ComposeResult:
        yield Bar(id="header")
        yield Notes(id="notice")
        yield CallList(id="calls")
        yield Notes(id="policy")
        yield Foot(strip=False)
        yield Keys(id="keys")

    def on_mount(self) -> None:
        self.query_one(CallList).focus()
        self.refresh_state()

    def on_screen_suspend(self) -> None:
        self.dashboard.calls.seen_missed()

    def show(self, state: ClientState, now: float) -> None:
        self._state = state
        entries = _entries(state, now)
        self.query_one("#header", Bar).show(
            (Cell(" Calls ", "accent"), Cell(f" {count(len(calls_here(state)), 'call')}", "strong")),
            self.connection_line(state, now) or (Cell("Esc goes back ", "dim"),),
        )
        self.query_one("#notice", Notes).show(
            (Cell(" ≡ ", "accent"), Cell(clean(holder_words(state), 600))), self.notice_line(now)
        )
        listed = self.query_one(CallList)
        listed.head("Calls")
        listed.show([line for entry in entries for line in (entry, entry._replace(second=True))])
        self.query_one("#policy", Notes).show(
            (
                Cell(" . ", "key"),
                Cell(f"{rule_words(state.focus.policy)}: {policy_words(state.focus)}", "dim"),
            )
            if state.focus.several
            else (Cell("   "), Cell(policy_words(state.focus), "dim"))
        )
        self.query_one(Keys).show(
            (*(KeyRow(one.key, one.label) for one in CALLS), *call_keys(state, self.call_in_question)),
            tuple(KeyRow(one.key, one.label) for one in EVERYWHERE if one.key in "/H?q"),
        )

    # ---- what is chosen

    @property
    def chosen(self) -> Entry | None:
        """The chosen entry."""
        return self.query_one(CallList).chosen

    def subject(self) -> CallState | None:
        chosen = self.chosen
        if chosen is None or chosen.kind != "call" or self._state is None:
            return None
        return self._state.calls.get(chosen.cid)

    @property
    def call_in_question(self) -> Cid | None:
        chosen = self.chosen
        return None if chosen is None else chosen.cid

    # ---- what is done

    @on(Rows.Chosen)
    def _chosen_other(self) -> None:
        self.refresh_state()

    def take_key(self, key: str) -> bool:
        if key in ("Enter", "\r"):
            self.action_go_there()
            return True
        return super().take_key(key)

    def action_go_there(self) -> None:
        """Focus the chosen call and show it; take one that rings, call back one that was missed."""
        chosen = self.chosen
        if chosen is None:
            self.say("there is no call to go to", "warning")
        elif chosen.kind == "call":
            self.dashboard.calls.focus(chosen.cid)
        elif chosen.kind == "incoming":
            self.dashboard.calls.take("answer", chosen.cid)
        elif chosen.kind == "missed" and chosen.by is not None:
            self.dashboard.calls.call_people(chosen.by)

    def action_look(self) -> None:
        """Show the chosen call's room; sound stays where it is."""
        call = self.subject()
        if call is None:
            self.say("choose a call you are in", "warning")
        else:
            self.dashboard.show_room(call.cid)

    def action_back(self) -> None:
        """Go where one came from."""
        if self.app.screen is self:
            self.app.pop_screen()


def _entries(state: ClientState, now: float) -> list[Entry]:
    entries: list[Entry] = []
    for ring in incoming_rows(state, now):
        waits = f"still rings {ring.waits}" if ring.waits else "rings"
        detail = " · ".join(part for part in (waits, ring.others, "Enter or F2 accepts, F3 rejects") if part)
        entries.append(Entry("incoming", ring.cid, ring.words, detail, by=ring.by))
    for placed in outgoing_rows(state, now):
        detail = " · ".join((*placed.people, placed.waits, "F5 hangs up"))
        entries.append(Entry("outgoing", placed.cid, placed.words, detail))
    for number, row in enumerate(call_rows(state), 1):
        names = enumerate_names([one.name for one in stage_rows(state.calls[row.cid]) if one.speaking])
        speaking = f"{names} {'speak' if row.talking > 1 else 'speaks'}" if names else "nobody speaks"
        detail = f"{count(row.people, 'person', 'people')} · {speaking}"
        if not row.cid.partition(":")[2].startswith("call-") and row.title != row.cid:
            detail += f" · {row.cid}"
        entries.append(Entry("call", row.cid, row.title, detail, row, number))
    for missed in missed_rows(state, now):
        entries.append(
            Entry("missed", missed.cid, missed.words, f"{missed.ago} ago · Enter calls back", by=missed.by)
        )
    return entries
