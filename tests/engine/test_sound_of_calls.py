"""What calls wish of one microphone, from the client down to the sound; stepped, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Misuse, Refused
from greenroom.media.sinks import Meter
from greenroom.policies.audio_config import conversation, custom, hi_fi, viewer
from greenroom.state.audio import EffectiveAudio, Origin
from greenroom.state.focus import MultiCallPolicy
from tests.media.room import Room, noise, power_dbfs

UNTOUCHED = viewer()
QUIET = custom(viewer(), noise_suppression="strong")


def client(world: LoopbackWorld, name: str, **options: Any) -> Client:
    """Return somebody in this world whose clock is ours."""
    return Client(backend=world.backend(name, name.title()), paced=False, **options)


async def hosted(who: Client, cid: str, **options: Any) -> Call:
    call = await who.join(cid, create=True, microphone=True, **options)
    await call.go_live()
    await call.sound_connected()
    return call


async def stepped(world: LoopbackWorld, listener: Client, seconds: float) -> None:
    """Move the sound of everybody, and what `listener` hears, by so much."""
    for _ in range(round(seconds * 50)):
        world.step()
        await listener.step()


def audio_of(call: Call) -> EffectiveAudio:
    audio = call.state.value.audio
    assert audio == call.audio_configuration
    assert audio is not None
    return audio


async def test_two_calls_on_one_microphone_send_each_what_it_wishes() -> None:
    world = LoopbackWorld(paced=False)
    room = Room(noise(30.0, -40.0))
    ears = {"ben": Meter(keep_seconds=0.5), "cal": Meter(keep_seconds=0.5)}
    several: dict[str, Any] = {
        "allow_multiple_active_calls": True,
        "multi_call_policy": MultiCallPolicy.MANUAL,
    }
    async with (
        client(world, "ann", source=room, **several) as ann,
        client(world, "ben", sink=ears["ben"]) as ben,
        client(world, "cal", sink=ears["cal"]) as cal,
    ):
        plain = await hosted(ann, "audio_room:plain", audio_configuration=UNTOUCHED)
        quiet = await hosted(ann, "audio_room:quiet", audio_configuration=QUIET)
        heard = {}
        for call, listener, name in ((plain, ben, "ben"), (quiet, cal, "cal")):
            await (await listener.join(call.cid)).sound_connected()
            await ann.switch_focus(call)
            await call.state.until(lambda state: state.microphone.open, 5.0)
            await ann.engine.run(stepped(world, listener, 4.0))
            heard[name] = power_dbfs(ears[name].recent())
        assert heard["ben"] == pytest.approx(-40.0, abs=0.3)
        assert heard["cal"] < -55.0
        assert (audio_of(plain).acting.by, audio_of(quiet).acting.by) == ("none", "webrtc")
        assert (audio_of(plain).acting.reason, audio_of(quiet).acting.reason) == ("", "")


async def test_music_leaves_the_microphone_alone_while_it_lasts_and_not_longer() -> None:
    world = LoopbackWorld(paced=False)
    ear = Meter(keep_seconds=0.5)
    async with (
        client(world, "ann", source=Room(noise(30.0, -40.0))) as ann,
        client(world, "ben", sink=ear) as ben,
    ):
        call = await hosted(ann, "audio_room:room", audio_configuration=QUIET)
        await (await ben.join(call.cid)).sound_connected()
        before = audio_of(call)
        heard = []
        for music in (False, True, False):
            await call.configure_audio(music=music)
            await ann.engine.run(stepped(world, ben, 3.0))
            heard.append(power_dbfs(ear.recent()))
            acting = audio_of(call).acting
            assert (acting.by, acting.reason) == (
                ("none", "music is being sent") if music else ("webrtc", "")
            )
        assert heard[0] < -55.0
        assert heard[1] == pytest.approx(-40.0, abs=0.3)
        assert heard[2] < -55.0
        assert audio_of(call) == before


async def test_what_cannot_act_is_said_in_the_state_of_the_call() -> None:
    world = LoopbackWorld(paced=False)
    async with client(world, "ann") as ann:
        call = await hosted(
            ann, "audio_room:room", audio_configuration=custom(conversation(), output_route="headphones")
        )
        audio = audio_of(call)
        assert (audio.acting.by, audio.acting.reason) == (
            "none",
            "what is sent does not come from a microphone",
        )
        assert audio.route_reason == "this client plays to no device of ours"
        await call.configure_audio(output_route="speaker")
        assert audio_of(call).route_reason == ""


async def test_named_bitrates_are_taken_and_taken_back_in_use_and_stereo_on_joining_where_the_room_allows_it() -> (
    None
):
    world = LoopbackWorld(paced=False)
    async with client(world, "ann") as ann:
        call = await hosted(
            ann, "audio_room:room", audio_configuration=custom(conversation(), bitrate=24_000)
        )
        for profile, bitrate in (("64k", 64_000), ("128k", 128_000), (None, 24_000)):
            await call.configure_audio(profile=profile)
            assert audio_of(call).bitrate == bitrate
            assert audio_of(call).origins["bitrate"] is Origin.CALL
        with pytest.raises(Refused, match="does not allow high-fidelity"):
            await call.configure_audio(profile="128k-stereo")
        with pytest.raises(Misuse, match="no profile 'loud'"):
            await call.configure_audio(profile="loud")
        with pytest.raises(Refused, match="join with another profile"):
            await ann.join("audio_room:music", create=True, audio_configuration=hi_fi())
