"""Which calls are active and which is focused, as observables of `Call` objects that follow the client's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from greenroom.errors import Misuse
from greenroom.observable import Observable
from greenroom.protocol.ids import Cid
from greenroom.state.engine import ClientState
from greenroom.state.focus import Focus

if TYPE_CHECKING:
    from greenroom.engine.call import Call


class ActiveCalls:
    """Three observables, set whenever the client's focus changes; each replays what is there to who subscribes."""

    def __init__(
        self, state: Observable[ClientState], several: bool, find: Callable[[Cid], Call | None]
    ) -> None:
        self.calls: Observable[tuple[Call, ...]] = Observable(())
        self.focused: Observable[Call | None] = Observable(None)
        self._single: Observable[Call | None] = Observable(None)
        self._several = several
        self._find = find
        state.subscribe(self._follow, lambda client: client.focus, replay=False)

    @property
    def call(self) -> Observable[Call | None]:
        """The one active call. Raises `Misuse` where there can be several."""
        if self._several:
            raise Misuse("this client may have several active calls; use active_calls or focused_call")
        return self._single

    def _follow(self, focus: Focus) -> None:
        calls = tuple(call for cid in focus.active if (call := self._find(cid)) is not None)
        focused = None if focus.focused is None else self._find(focus.focused)
        for observable, value in ((self.focused, focused), (self._single, calls[-1] if calls else None)):
            if observable.value is not value:
                observable.set(value)
        if self.calls.value != calls:
            self.calls.set(calls)
