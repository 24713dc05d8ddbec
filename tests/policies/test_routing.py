"""Where calls wish to be listened to: what is chosen for them, and why not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from greenroom.policies.routing import Routed, plan_routes
from greenroom.protocol.ids import Cid
from greenroom.state.audio import Route
from greenroom.state.devices import Device, DevicePhase, DevicesState, Direction, Line

TALK, MUSIC = Cid("audio_room:talk"), Cid("audio_room:music")
BOX = Device("alsa:box", 0, "Built-in speakers", outputs=2, default_output=True)
PHONES = Device("alsa:phones", 1, "Headphones USB", outputs=2)
BUDS = Device("bluez:buds", 2, "Ann's buds", outputs=2)


def devices(*there: Device, wish: str = "", on: Device = BOX) -> DevicesState:
    speaker = Line(Direction.OUTPUT, wish, DevicePhase.RUNNING, on.name)
    return DevicesState(available=there, backend="ALSA", speaker=speaker)


ALL = devices(BOX, PHONES, BUDS)


@pytest.mark.parametrize(
    ("wishes", "state", "routed", "choose", "reasons"),
    [
        pytest.param({TALK: "speaker"}, ALL, None, None, {TALK: ""}, id="without a wish all stays as chosen"),
        pytest.param(
            {TALK: "headphones"}, ALL, None, PHONES.name, {TALK: ""}, id="headphones are found by their name"
        ),
        pytest.param({TALK: "bluetooth"}, ALL, None, BUDS.name, {TALK: ""}, id="so is Bluetooth"),
        pytest.param(
            {TALK: "headphones"}, devices(BOX), None, None, {TALK: "no headphones are among the devices here"},
            id="a kind that is not there has no effect, and says so",
        ),
        pytest.param(
            {TALK: "headphones"}, replace(ALL, speaker=replace(ALL.speaker, wish=BOX.name)), None, None,
            {TALK: f"the output was chosen by name: {BOX.name}"}, id="what a person chose by name is not overruled",
        ),
        pytest.param(
            {TALK: "headphones"}, devices(BOX, PHONES, on=PHONES), None, None, {TALK: ""},
            id="where one listens by headphones already nothing changes",
        ),
        pytest.param(
            {MUSIC: "headphones", TALK: "bluetooth"}, ALL, None, PHONES.name,
            {MUSIC: "", TALK: "another call is listened to by headphones"}, id="the first call that wishes has it",
        ),
        pytest.param(
            {TALK: "headphones"}, devices(BOX, PHONES, wish=PHONES.name, on=PHONES), Routed(PHONES.name, ""), None,
            {TALK: ""}, id="what was routed stays",
        ),
        pytest.param(
            {TALK: "speaker"}, devices(BOX, PHONES, wish=PHONES.name, on=PHONES), Routed(PHONES.name, ""), "",
            {TALK: ""}, id="when the wish is gone the output is again what it was",
        ),
        pytest.param(
            {}, devices(BOX, PHONES, wish=PHONES.name, on=PHONES), Routed(PHONES.name, ""), "", {},
            id="and when the call is",
        ),
        pytest.param(
            {}, devices(BOX, PHONES, BUDS, wish=BUDS.name, on=BUDS), Routed(PHONES.name, ""), None, {},
            id="but not when the person chose another meanwhile",
        ),
        pytest.param(
            {TALK: "headphones", MUSIC: "speaker"}, None, None, None,
            {TALK: "this client plays to no device of ours", MUSIC: ""}, id="a sink of one's own has no routes",
        ),
    ],
)  # fmt: skip
def test_the_output_follows_the_wishes_of_calls_as_far_as_it_can(
    wishes: Mapping[Cid, Route],
    state: DevicesState | None,
    routed: Routed | None,
    choose: str | None,
    reasons: Mapping[Cid, str],
) -> None:
    plan = plan_routes(wishes, state, routed)
    assert plan.choose == choose
    assert plan.reasons == reasons


def test_a_route_is_asked_for_once_however_often_it_is_planned() -> None:
    first = plan_routes({TALK: "headphones"}, ALL, None)
    again = plan_routes({TALK: "headphones"}, ALL, first.routed)
    assert (first.choose, again.choose) == (PHONES.name, None)
