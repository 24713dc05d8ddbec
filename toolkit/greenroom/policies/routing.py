"""Where calls wish to be listened to, and what becomes of it: one loudspeaker for all of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from greenroom.policies.audio_modes import device_for, selected_mode
from greenroom.protocol.ids import Cid
from greenroom.state.audio import Route
from greenroom.state.call_settings import AudioMode
from greenroom.state.devices import DevicesState

AS_CHOSEN: Route = "speaker"
"""The route without a wish: the loudspeaker that the person, or the system, has chosen."""


class Routed(msgspec.Struct, frozen=True):
    """A call's wish has led to `device`; `before` is what was wished until then ("" the system's default)."""

    device: str
    before: str


class RoutePlan(msgspec.Struct, frozen=True):
    """`choose`: the output to use from now on, None to leave it. `reasons`: why a call's wish has no effect, or ""."""

    routed: Routed | None = None
    choose: str | None = None
    reasons: Mapping[Cid, str] = {}


def plan_routes(
    wishes: Mapping[Cid, Route], devices: DevicesState | None, routed: Routed | None
) -> RoutePlan:
    """Return where to listen, given the wishes of the calls in the order they came, and where a wish led before.

    The first call that wishes something has it. What the person chose by name is never overruled.
    """
    asking = {cid: route for cid, route in wishes.items() if route != AS_CHOSEN}
    if devices is None:
        nothing = "this client plays to no device of ours"
        return RoutePlan(None, None, {cid: nothing if cid in asking else "" for cid in wishes})
    wish = devices.speaker.wish
    if routed is not None and wish not in (routed.device, routed.before):
        routed = None  # the person chose another one since
    first = next(iter(asking.values()), None)
    if first is None:
        back = None if routed is None else routed.before
        return RoutePlan(None, back, dict.fromkeys(wishes, ""))
    plan, reason = _route(AudioMode(first), devices, routed)
    reasons = {cid: reason if route == first else "" for cid, route in wishes.items()}
    if not reason:
        busy = f"another call is listened to by {first}"
        reasons = {cid: "" if route == first else busy for cid, route in wishes.items()}
    return msgspec.structs.replace(plan, reasons=reasons)


def _route(mode: AudioMode, devices: DevicesState, routed: Routed | None) -> tuple[RoutePlan, str]:
    wish = devices.speaker.wish
    if selected_mode(devices) is mode:
        return RoutePlan(routed), ""
    if wish and (routed is None or wish != routed.device):
        return RoutePlan(), f"the output was chosen by name: {wish}"
    device = device_for(devices, mode)
    if device is None:
        back = routed.before if routed is not None and wish == routed.device else None
        return RoutePlan(None, back), f"no {_WORDS[mode]} among the devices here"
    if routed is not None and routed.device == device.name:
        return RoutePlan(routed), ""  # on its way
    before = wish if routed is None else routed.before
    return RoutePlan(Routed(device.name, before), device.name), ""


_WORDS = {
    AudioMode.SPEAKER: "loudspeaker is",
    AudioMode.HEADPHONES: "headphones are",
    AudioMode.BLUETOOTH: "Bluetooth device is",
    AudioMode.EARPIECE: "earpiece is",
}
