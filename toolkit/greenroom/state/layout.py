"""How one person looks at a call: layout, pins, small or whole. Theirs alone; nobody is told."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from greenroom.protocol.ids import UserId

MAX_PINS = 16


class Layout(StrEnum):
    """`TILE`: everybody alike. `SPOTLIGHT`: one large, the rest small. `SIDEBAR`: those pinned or loudest beside a
    list of the rest. `LIST`: everybody in order of joining."""

    TILE = "tile"
    SPOTLIGHT = "spotlight"
    SIDEBAR = "sidebar"
    LIST = "list"


class CallView(msgspec.Struct, frozen=True):
    """`pins`: the last pinned first. A pin stays while its owner is away."""

    layout: Layout = Layout.LIST
    pins: tuple[UserId, ...] = ()
    picture_in_picture: bool = False


def with_pin(view: CallView, user: UserId) -> CallView:
    """Return `view` with `user` first among the pinned, of whom the last 16 are kept."""
    if view.pins[:1] == (user,):
        return view
    return replace(view, pins=(user, *(pinned for pinned in view.pins if pinned != user))[:MAX_PINS])


def without_pin(view: CallView, user: UserId | None = None) -> CallView:
    """Return `view` without the pin of `user`, or without any."""
    kept = () if user is None else tuple(pinned for pinned in view.pins if pinned != user)
    return view if kept == view.pins else replace(view, pins=kept)


def next_layout(layout: Layout) -> Layout:
    """Return the layout after `layout`, the first after the last."""
    layouts = tuple(Layout)
    return layouts[(layouts.index(layout) + 1) % len(layouts)]
