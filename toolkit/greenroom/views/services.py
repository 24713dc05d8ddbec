"""The notifications of background services: one row for each that runs."""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState
from greenroom.state.services import Service, ServiceKind
from greenroom.views.status import microphone_words, title_words
from greenroom.views.words import duration


class ServiceRow(msgspec.Struct, frozen=True):
    """`title` says what runs, `words` how it is and since when."""

    cid: Cid
    kind: ServiceKind
    title: str
    words: str


def service_rows(state: ClientState, now: float) -> tuple[ServiceRow, ...]:
    """Return what runs, in order of starting. `now` is wall-clock."""
    return tuple(_row(state, service, now) for service in state.services)


def _row(state: ClientState, service: Service, now: float) -> ServiceRow:
    call = state.calls.get(service.cid)
    room = service.cid if call is None else title_words(call)
    title = f"In a call: {room}" if service.kind is ServiceKind.CALL else f"Sharing a screen: {room}"
    since = f"since {duration(now - service.started_at)}" if now - service.started_at >= 1.0 else "just begun"
    how = "" if call is None or service.kind is not ServiceKind.CALL else f"{microphone_words(call)} · "
    return ServiceRow(service.cid, service.kind, title, f"{how}{since}")
