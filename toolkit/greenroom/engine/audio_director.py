"""Hands microphone and loudspeaker from call to call, as the policy says and the person asks. Lives on the engine's loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from greenroom.engine.membership import Membership
from greenroom.errors import GreenroomError, Misuse, Refused
from greenroom.policies.multicall import (
    AudioPlan,
    begun,
    gone,
    joined,
    plan,
    resumed,
    rolled_back,
    suspended,
    switched,
    with_policy,
)
from greenroom.protocol.ids import Cid
from greenroom.state.call import CallPhase
from greenroom.state.focus import Focus, MultiCallPolicy, Share

log = logging.getLogger(__name__)


class AudioDirector:
    """The one writer of `Focus`. A change is decided, heard and shown in one step, without waiting for anybody; what
    others must know is told after it. So operations are serial, no join waits for a suspension, and no two calls ever
    have the microphone: who gives it up does so before somebody gets it.
    """

    def __init__(
        self,
        memberships: Mapping[Cid, Membership],
        changed: Callable[[Focus, Focus], None],
        *,
        several: bool,
        policy: MultiCallPolicy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.focus = Focus(several=several, policy=policy)
        self._memberships = memberships
        self._changed = changed
        self._clock = clock
        self._stopped = False

    # ---- what happens to calls

    def begun(self, cid: Cid) -> None:
        """A join begins."""
        self._become(begun(self.focus, cid, self._clock()))

    def phase_changed(self, cid: Cid, phase: CallPhase) -> None:
        """A call came further in its life: it was joined, or is over."""
        if phase is CallPhase.JOINED:
            self._become(joined(self.focus, cid))
        elif phase is CallPhase.LEFT:
            self._become(gone(self.focus, cid, self._clock()))

    def stop(self) -> None:
        """Hand nothing on any more: everything ends."""
        self._stopped = True

    # ---- what the person asks

    async def suspend(self, cid: Cid) -> None:
        """Suspend a call. What the room makes of it is a notice: our sound is off in any case."""
        self._become(suspended(self.focus, self._known(cid), self._clock()))
        await self._tell_quietly(cid)

    async def resume(self, cid: Cid) -> None:
        """End a suspension. Raises `Refused`, with everything as before, if the room does not take us back."""
        await self._take(cid, resumed(self.focus, self._known(cid), self._clock()))

    async def switch(self, cid: Cid) -> None:
        """Move to a call. Raises `Refused`, with everything as before, if the room does not take us back."""
        await self._take(cid, switched(self.focus, self._known(cid), self._clock()))

    def set_policy(self, policy: MultiCallPolicy) -> None:
        """Follow another policy from now on."""
        self._become(with_policy(self.focus, policy, self._clock()))

    # ---- how

    def _known(self, cid: Cid) -> Cid:
        if cid not in self.focus.standings:
            raise Misuse(f"this client is not in '{cid[:80]}'; join it first")
        return cid

    async def _take(self, cid: Cid, wanted: Focus) -> None:
        before = self.focus
        self._become(wanted)
        membership = self._memberships.get(cid)
        if membership is None:
            return
        try:
            await membership.tell_suspension()
        except Refused as error:
            membership.notice(f"this call could not be resumed: {error}", "bad")
            if self.focus is wanted and wanted is not before:  # nothing else was decided since
                self._become(rolled_back(wanted, before))
            raise
        except GreenroomError as error:
            membership.notice(f"the room does not know yet that you are back: {error}", "warning")

    async def _tell_quietly(self, cid: Cid) -> None:
        membership = self._memberships.get(cid)
        if membership is None:
            return
        try:
            await membership.tell_suspension()
        except GreenroomError as error:
            membership.notice(f"the room does not know that you are away: {error}", "warning")

    def _become(self, focus: Focus) -> None:
        before = self.focus
        if focus is before:
            return
        self.focus = focus
        if self._stopped:
            return
        now_planned = plan(focus)
        self._apply(now_planned, closing=True)
        self._changed(before, focus)
        self._apply(now_planned, closing=False)

    def _apply(self, planned: AudioPlan, *, closing: bool) -> None:
        """Give the calls their shares: first to those that give the microphone up, then to the one that gets it."""
        for cid, share in planned.shares.items():
            if share.microphone is not closing:
                self._give(cid, share)

    def _give(self, cid: Cid, share: Share) -> None:
        membership = self._memberships.get(cid)
        if membership is None:
            return
        try:
            membership.take_share(share)
        except Exception as error:  # one call's fault must not keep another from its sound
            log.exception("a call could not be given its share of sound")
            membership.notice(f"sound could not be handed over: {type(error).__name__}", "bad")
