"""Who of several calls has microphone and loudspeaker, as values; `policies.multicall` decides."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import Cid

SILENT_DB = -96.0


class MultiCallPolicy(StrEnum):
    """What happens to sound when one person is in several calls.

    `SUSPEND_EXISTING`: the call that becomes active has everything, the others are suspended. `SUSPEND_INCOMING`: a call
    that joins while another is active starts suspended. `MANUAL`: nothing happens by itself. `DUCK`: the other calls are
    12 dB softer. `PAN`: calls are placed from left to right. In the last three all are heard and one has the microphone.
    """

    SUSPEND_EXISTING = "suspend_existing"
    SUSPEND_INCOMING = "suspend_incoming"
    MANUAL = "manual"
    DUCK = "duck"
    PAN = "pan"


class Cause(StrEnum):
    """Why a call is suspended: the person asked, another call became active, or it came while another was active."""

    PERSON = "person"
    OTHER = "other"
    INCOMING = "incoming"


class Suspension(msgspec.Struct, frozen=True):
    """`since` is wall-clock seconds; `by` is the call that became, or was, active; None where the person asked."""

    cause: Cause
    since: float
    by: Cid | None = None
    policy: MultiCallPolicy | None = None


class Standing(msgspec.Struct, frozen=True):
    """One call as the hand-off sees it. It counts from the beginning of a join on; `joined` once the room let us in."""

    cid: Cid
    joined: bool = False
    suspension: Suspension | None = None


class Focus(msgspec.Struct, frozen=True):
    """Everything that decides who has microphone and loudspeaker.

    `standings` is in order of joining. `focused` alone may have the microphone; None: nobody has it. `history` has the
    calls that are here and were ever focused, the latest last. `since`: when `focused` became what it is, wall clock.
    In single mode (`several` is False) there is one call at a time, and `policy` is without effect.
    """

    several: bool = False
    policy: MultiCallPolicy = MultiCallPolicy.SUSPEND_EXISTING
    standings: Mapping[Cid, Standing] = {}
    history: tuple[Cid, ...] = ()
    focused: Cid | None = None
    since: float | None = None

    @property
    def active(self) -> tuple[Cid, ...]:
        """The calls that count, in order of joining."""
        return tuple(self.standings)


class Share(msgspec.Struct, frozen=True):
    """What one call is given of microphone and loudspeaker, and why it is not everything; all of it unless said.

    `gain_db` is 0.0 as sent to -96.0, silent; `pan` is -1.0 (left) to 1.0 (right). `why` is empty for a call that has
    everything. `since` is wall-clock seconds. `policy` is None in single mode.
    """

    suspended: bool = False
    microphone: bool = True
    gain_db: float = 0.0
    pan: float = 0.0
    why: str = ""
    since: float | None = None
    policy: MultiCallPolicy | None = None


ALL = Share()
"""Everything: what the only call of a person has."""


class Hearing(msgspec.Struct, frozen=True):
    """Whether a call is heard by us, from everything that has a say, with the first thing missing in words."""

    open: bool = False
    reason: str = "sound is not connected"
    suspended: bool = False
    connected: bool = False
    device: bool = True
    gain_db: float = 0.0
    pan: float = 0.0


class SwitchFocus(msgspec.Struct, frozen=True):
    """Give this call microphone and loudspeaker. Like those below it is for our own engine, not for the room."""


class SuspendAudio(msgspec.Struct, frozen=True):
    """Hear nothing of this call and say nothing in it, but stay."""


class ResumeAudio(msgspec.Struct, frozen=True):
    """End the suspension of this call."""


class SetMultiCallPolicy(msgspec.Struct, frozen=True):
    """Hand sound off between calls by `policy` from now on."""

    policy: MultiCallPolicy


HandOff = SwitchFocus | SuspendAudio | ResumeAudio | SetMultiCallPolicy
