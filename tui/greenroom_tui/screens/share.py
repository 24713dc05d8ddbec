"""The link of a room, as text and as a QR code for a phone."""

from __future__ import annotations

from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

import segno
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from greenroom_tui.cells import Cell, clean
from greenroom_tui.widgets.bar import Bar

# Readers need dark on light whatever the theme.
_INK = Style(color="#000000", bgcolor="#ffffff")
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
QUIET = 4  # ISO/IEC 18004 asks for a quiet zone of four modules; readers get along with two
TIGHT = 2


class QrCode(Widget):
    """A QR code in half blocks: two modules in a character."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return len(self._lines[0])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width, _INK)
        return Strip([Segment(self._lines[y], _INK)]).adjust_cell_length(self.size.width, _INK)


def qr_lines(text: str, quiet: int = QUIET) -> list[str]:
    """Return `text` as a QR code (error correction L) of half blocks, with a quiet zone of `quiet` modules."""
    matrix = [
        [bool(module) for module in row]
        for row in segno.make(text, error="l", micro=False).matrix_iter(border=quiet)
    ]
    if len(matrix) % 2:
        matrix.append([False] * len(matrix[0]))
    return [
        "".join(_HALVES[upper, lower] for upper, lower in zip(matrix[y], matrix[y + 1], strict=True))
        for y in range(0, len(matrix), 2)
    ]


class ShareScreen(ModalScreen[None]):
    """Link and QR code of a room."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q,Q", "dismiss", show=False)]

    def __init__(self, title: str, link: str) -> None:
        super().__init__()
        self._title = title
        self._link = link

    def compose(self) -> ComposeResult:
        with Vertical(classes="card", id="share"):
            yield Bar(id="link")
            # The code and two more lines must fit; a link alone is better than half a code.
            codes = (qr_lines(self._link, quiet) for quiet in (QUIET, TIGHT))
            fits = next((code for code in codes if len(code) + 4 <= self.app.size.height), None)
            if fits is not None:
                yield QrCode(fits)
            yield Bar(id="how")

    def on_mount(self) -> None:
        card = self.query_one(Vertical)
        card.border_title = Content(f"Join {clean(self._title, 40)}")
        card.styles.width = min(self.app.size.width - 2, max(44, len(self._link) + 4))
        self.query_one("#link", Bar).show((Cell(clean(self._link, 400), "strong"),))
        self.query_one("#how", Bar).show(
            (Cell(f"for {_whose(self._link)}   ", "dim"), Cell("Esc", "key"), Cell(" closes", "dim"))
        )


def _whose(link: str) -> str:
    """Return who can use `link`: nobody else reaches an address of the machine itself."""
    host = urlsplit(link).hostname or ""
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    return "a browser on this machine" if here else "a browser or a phone"
