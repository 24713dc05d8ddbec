"""Rows of pre-signed addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from greenroom.protocol.call_urls import UrlInfo, UrlKind, UrlState, url_state
from greenroom.views.words import duration


class UrlRow(msgspec.Struct, frozen=True):
    """One address as lists show it. `until` counts from now."""

    id: str
    opens: str
    role: str
    used: str
    until: str
    by: str
    state: str
    is_open: bool


def url_rows(urls: Iterable[UrlInfo], now: float) -> tuple[UrlRow, ...]:
    """Return a row for each address. `now` is wall-clock seconds."""
    return tuple(_row(info, now) for info in urls)


def _row(info: UrlInfo, now: float) -> UrlRow:
    state = url_state(info, now)
    where = f" in {info.cid}" if info.cid is not None else ""
    opens = f"a call to {info.to}{where}" if info.kind is UrlKind.CALL else str(info.cid)
    left = info.expires_at - now
    return UrlRow(
        id=info.id,
        opens=opens,
        role=f"{info.name} ({info.role})" if info.name else info.role,
        used=f"{info.used} of {info.uses}",
        until=f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago",
        by=info.by,
        state=state.value,
        is_open=state is UrlState.OPEN,
    )
