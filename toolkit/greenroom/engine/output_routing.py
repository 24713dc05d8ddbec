"""Leads the output where calls wish to be listened to; `policies.routing` says where that is."""

from __future__ import annotations

from collections.abc import Mapping

from greenroom.media.audio_session import AudioSession
from greenroom.policies.routing import Routed, plan_routes
from greenroom.protocol.ids import Cid
from greenroom.state.audio import EffectiveAudio


class OutputRouting:
    """One client's share in where the audio session plays. `devices` is None where its sound goes elsewhere."""

    def __init__(self, devices: AudioSession | None) -> None:
        self._devices = devices
        self._routed: Routed | None = None

    def follow(self, calls: Mapping[Cid, EffectiveAudio]) -> Mapping[Cid, str]:
        """Listen as the calls wish; return why the wish of each has no effect, "" where it has."""
        state = None if self._devices is None else self._devices.state.value
        wishes = {cid: audio.output_route for cid, audio in calls.items()}
        plan = plan_routes(wishes, state, self._routed)
        self._routed = plan.routed
        if plan.choose is not None and self._devices is not None:
            self._devices.choose(output=plan.choose)
        return plan.reasons
