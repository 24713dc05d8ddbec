"""What a client does about calls by itself: when the server cannot be heard, when a call cannot be entered."""

from __future__ import annotations

import secrets

import pytest
from msgspec.structs import replace

from greenroom.backends.base import Link, LinkChanged
from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.client import Client
from greenroom.errors import Refused
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.protocol.call_types import DEFAULT, CallType, RingSettings
from greenroom.protocol.requests import AcceptRing, StartRing
from greenroom.protocol.ringing import EndReason, RingPhase

SECONDS = 6.0


async def test_what_rings_ends_in_time_while_the_server_cannot_be_heard() -> None:
    world = LoopbackWorld(paced=False)  # nobody steps it, so its time does not pass
    times = replace(DEFAULT.settings, ring=RingSettings(0.2, 0.4))
    world.call_types["quick"] = CallType("quick", times, DEFAULT.grants)
    async with Client(backend=world.backend("ann")) as ann, Client(backend=world.backend("bo")) as bo:
        ring = await ann.ring("bo", room=f"quick:{secrets.token_hex(4)}")
        await bo.incoming_calls.until(bool, SECONDS)
        bo.engine.call_soon(lambda: bo._core.link_changed(LinkChanged(Link.RECONNECTING, 1)))
        await bo.incoming_calls.until(lambda calls: not calls, SECONDS)
        missed = bo.state.value.rings.find(ring.id)
        assert missed is not None
        assert missed.outcome is EndReason.MISSED
        assert ann.outgoing_calls.value  # she can hear the server, which says that it rings


async def test_a_connection_that_is_over_for_good_rings_no_more() -> None:
    world = LoopbackWorld()
    async with Client(backend=world.backend("ann")) as ann, Client(backend=world.backend("bo")) as bo:
        await ann.ring("bo")
        await bo.incoming_calls.until(bool, SECONDS)
        async with Client(backend=world.backend("bo")) as newer:
            await bo.incoming_calls.until(lambda calls: not calls, SECONDS)
            await newer.incoming_calls.until(bool, SECONDS)  # it rings on where they are now


async def test_a_call_that_its_caller_cannot_enter_is_hung_up() -> None:
    world = LoopbackWorld()
    async with Client(backend=world.backend("ann")) as ann, Client(backend=world.backend("bo")) as bo:
        # The room's type does not allow such sound, which is known only on entering.
        ring = await ann.ring("bo", audio_configuration=AudioConfiguration(bitrate=510_000))
        await bo.incoming_calls.until(bool, SECONDS)
        await bo.accept(ring)
        state = await bo.state.until(lambda state: not state.rings.rings, SECONDS)
        assert state.rings.over[-1].outcome is EndReason.CANCELLED
        await ann.state.until(
            lambda state: any("could not be entered" in line.text for line in state.log), SECONDS
        )


async def test_a_face_accepts_and_comes_in_by_one_request() -> None:
    world = LoopbackWorld()
    async with Client(backend=world.backend("ann")) as ann, Client(backend=world.backend("bo")) as bo:
        await ann.perform("default:ours", StartRing((bo.state.value.user,), keep_room=True))
        (ring,) = await bo.incoming_calls.until(bool, SECONDS)
        await bo.perform(ring.cid, AcceptRing())
        await ann.state.until(
            lambda state: any(one.phase is RingPhase.CONNECTED for one in state.rings.rings.values()), SECONDS
        )
        with pytest.raises(Refused):
            await bo.perform(ring.cid, AcceptRing())
