"""With what rooms were entered and left, so that coming back is as it was."""

from __future__ import annotations

from greenroom.protocol.ids import Cid
from greenroom.state.call import CallPhase, CallState
from greenroom.state.connect_options import Choice, ConnectOptions, TrackOption, enabled, merged

ROOMS_REMEMBERED = 100


class Remembered:
    """With what each of the last 100 rooms was entered and left, so that coming back is as it was."""

    def __init__(self) -> None:
        self._rooms: dict[Cid, ConnectOptions] = {}

    def of(self, cid: Cid) -> ConnectOptions:
        """Return what is known of a room; nothing of one that was never entered."""
        return self._rooms.get(cid, ConnectOptions())

    def keep(self, cid: Cid, options: ConnectOptions) -> None:
        """Remember what `options` set, over what was known."""
        known = merged(self._rooms.pop(cid, ConnectOptions()), options)
        if known != ConnectOptions():
            self._rooms[cid] = known
        while len(self._rooms) > ROOMS_REMEMBERED:
            del self._rooms[next(iter(self._rooms))]

    def follow(self, before: CallState, after: CallState) -> None:
        """Remember what the person, or a moderator, does to the microphone while we are in. A provided track stays."""
        here = before.phase is after.phase is CallPhase.JOINED
        if not here or before.microphone.wish == after.microphone.wish:
            return
        known = self.of(after.cid).microphone
        wish = after.microphone.wish
        if wish and isinstance(known, TrackOption) and known.choice is Choice.PROVIDED:
            return
        self.keep(after.cid, ConnectOptions(microphone=enabled(wish)))
