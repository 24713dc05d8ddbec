"""Anything may happen to three to five calls: one microphone at most, and what is heard is what the states promise."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.backends.base import Link, LinkChanged
from greenroom.engine.client import Client
from greenroom.errors import Refused
from greenroom.lab.hear_matrix import PILOT_DBFS, Rig
from greenroom.media.sources import Tone
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.wire import Welcome
from greenroom.state.call import CallPhase, MediaPhase
from greenroom.state.engine import ClientState
from greenroom.state.focus import MultiCallPolicy

CIDS = [f"default:{name}" for name in "abcde"]
YOU = UserId("you")
What = Literal[
    "join", "fail", "leave", "suspend", "resume", "switch", "open", "close", "mute", "revoke", "grant", "lose", "reconnect"
]  # fmt: skip
HAPPENS = st.one_of(
    st.tuples(st.sampled_from(What.__args__), st.integers(0, 4)),  # type: ignore[attr-defined]  # of a Literal
    st.sampled_from(list(MultiCallPolicy)),
)


class Watch:
    """Looks at every state of a client: never may two microphones be open, or a suspended call be anything but silent."""

    def __init__(self, client: Client) -> None:
        self.faults: list[str] = []
        client.state.subscribe(self._look)

    def _look(self, state: ClientState) -> None:
        open_ = [cid for cid, call in state.calls.items() if call.microphone.open]
        if len(open_) > 1:
            self.faults.append(f"two microphones: {open_}")
        for cid, call in state.calls.items():
            if call.suspended and (call.microphone.open or call.hearing.open):
                self.faults.append(f"{cid} is suspended, and not silent")
            if call.microphone.open and not (call.microphone.wish and call.microphone.permitted):
                self.faults.append(f"{cid} is open without wish or permission")
            if not call.microphone.open and not call.microphone.reason:
                self.faults.append(f"{cid} is closed for no reason")


@pytest.mark.parametrize("policy", list(MultiCallPolicy))
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(calls=st.integers(3, 5), happens=st.lists(HAPPENS, min_size=4, max_size=14))
def test_whatever_happens_one_call_has_the_microphone_and_only_what_is_promised_is_heard(
    policy: MultiCallPolicy, calls: int, happens: list[tuple[What, int] | MultiCallPolicy]
) -> None:
    asyncio.run(play(policy, CIDS[:calls], happens))


async def play(
    policy: MultiCallPolicy, cids: list[str], happens: list[tuple[What, int] | MultiCallPolicy]
) -> None:
    async with Rig() as rig:
        you = await rig.person("you", policy=policy)
        for cid in cids:
            await rig.person(f"in {cid[-1]}")
            await rig.join(f"in {cid[-1]}", cid)
        watch = Watch(you)
        for cid in cids[:2]:
            await rig.join("you", cid)
        for what in happens:
            if isinstance(what, MultiCallPolicy):
                await you.set_multi_call_policy(what)
            else:
                await happen(rig, what[0], cids[what[1] % len(cids)])
            await rig.step(0.04)
        assert watch.faults == []
        await settled(rig)
        await rig.step(0.5)
        heard, said = await rig.matrix(0.2), rig.promised()
        assert heard.heard() == frozenset(said), f"{happens}\n{heard.table()}"
        assert heard.leak_db(said) < -60.0
        for (listener, speaker), gain_db in said.items():
            assert abs(heard.level(listener, speaker) - PILOT_DBFS - gain_db) < 0.5
        kinds = {what[0] for what in happens if not isinstance(what, MultiCallPolicy)}
        for name in rig.people:  # who hears somebody vanish hears an end made up from what they said last
            assert_no_click(rig, name, 30.0 if name != "you" and kinds & {"leave", "lose"} else 1.5)
        assert sum(1 for listener, speaker in said if speaker == "you") <= 1
        assert watch.faults == []


def assert_no_click(rig: Rig, name: str, allowed: float = 1.5) -> None:
    """Nothing that `name` heard was rougher than all the others' tones together, with what panning adds, and a fade."""
    tones = [Tone(hertz, PILOT_DBFS).read(4800) for other, hertz in rig.pilots_hz.items() if other != name]
    roughest = sum(float(np.abs(np.diff(tone[:, 0], 3)).max()) for tone in tones)
    heard = float(np.abs(np.diff(rig.meters[name].recent(), 3, axis=0)).max())
    assert heard < allowed * roughest, f"a click of {heard / roughest:.1f} at {name}"


async def happen(rig: Rig, what: What, cid: str) -> None:
    you, host = rig.people["you"], rig.people[f"in {cid[-1]}"].calls[0]
    call = next((call for call in you.calls if call.cid == cid), None)
    if what == "fail":
        with pytest.raises(Refused):
            await you.join("default:nowhere")
    elif what == "join":
        await rig.join("you", cid)
    elif call is not None:
        session = rig.world.sessions[YOU]
        match what:
            case "leave":
                await call.leave()
            case "suspend":
                await call.suspend_audio()
            case "resume":
                await call.resume_audio()
            case "switch":
                await you.switch_focus(call)
            case "open" | "close":
                with contextlib.suppress(Refused):  # a listener may not
                    await call.set_microphone(what == "open")
            case "mute":
                await host.mute("you")
            case "revoke":
                await host.revoke("you")
            case "grant":
                await host.grant("you")
            case "lose":
                rig.engine.call_soon(lambda: session.lose_media(Cid(cid), "its worker died"))
            case "reconnect":
                await rig.engine.run(reconnect(you))


async def reconnect(you: Client) -> None:
    state = you.state.value
    you._core.link_changed(LinkChanged(Link.RECONNECTING, 1))
    you._core.link_changed(LinkChanged(Link.ONLINE))
    again = Welcome(state.user, state.name, state.role, "loopback", "again", 0.0, resumed=tuple(state.calls))
    you._core.received(again)


async def settled(rig: Rig) -> None:
    """Wait until sound that was lost is back, and every room believes what is so."""
    for call in rig.people["you"].calls:
        await call.state.until(
            lambda state: (
                state.phase is CallPhase.JOINED
                and state.media is MediaPhase.CONNECTED
                and state.myself is not None
                and state.myself.suspended == (state.suspended or not state.share.microphone)
                and (not state.microphone.permitted or state.myself.microphone == state.microphone.wish)
            ),
            5.0,
        )
