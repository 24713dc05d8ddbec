"""Sessions of real clients in memory: options, settings, what listeners hear, and how a session ends."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest

from greenroom.engine.call import Call
from greenroom.engine.client import Client
from greenroom.errors import Misuse, Refused, Unreachable
from greenroom.media.sources import Tone
from greenroom.policies.audio_config import hi_fi, viewer
from greenroom.policies.preferences import CallPreferences
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import Leave, RaiseHand
from greenroom.state.call import CallPhase
from greenroom.state.call_settings import AudioMode, Buttons, CallMode, CallSettings, IdleTimeout, IdleWhen
from greenroom.state.connect_options import DISABLED, ENABLED, ConnectOptions, provided
from greenroom.state.idle import IdlePhase
from greenroom.state.layout import Layout
from greenroom.state.services import ServiceKind
from greenroom.state.session_events import (
    CallEnded,
    ConnectionClosed,
    ConnectionLost,
    ConnectionRestored,
    DominantSpeakerChanged,
    EndButtonPressed,
    LayoutChanged,
    PictureInPictureChanged,
    PinsChanged,
    SessionError,
    SessionEvent,
    SessionJoined,
    SessionLeft,
    SessionPrompted,
    SessionTimedOut,
    UserJoined,
    UserLeft,
    UserListChanged,
    UserLoweredHand,
    UserMuted,
    UserRaisedHand,
    UserUnmuted,
)
from greenroom.views.actions import BY_ID
from greenroom.views.session import has_button
from tests.backends.places import Memory, client

TALK, ROOM = "default:talk", "audio_room:room"
SECONDS = 5.0
E = TypeVar("E", bound=SessionEvent)


class Heard:
    """What a listener heard, and how to wait for more."""

    def __init__(self, who: Client) -> None:
        self.events: list[SessionEvent] = []
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        who.add_listener("test", self._hear)

    def _hear(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._more.set)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def hears(self, kind: type[E], times: int = 1) -> E:
        """Return the newest event of `kind`, once there are as many as that."""
        async with asyncio.timeout(SECONDS):
            while len(found := self.of(kind)) < times:
                self._more.clear()
                await self._more.wait()
        return found[-1]


async def left(call: Call) -> str | None:
    state = await call.state.until(lambda state: state.phase is CallPhase.LEFT, SECONDS)
    return state.left_reason


# ---- options and preferences


async def test_a_room_is_entered_again_as_it_was_left() -> None:
    async with client(Memory(), "ann") as ann:
        call = await ann.join(TALK, create=True)
        assert call.state.value.microphone.wish, "this type of room opens microphones"
        await call.set_microphone(False)
        await call.leave()
        again = await ann.join(TALK)
        assert not again.state.value.microphone.wish
        assert again.options.microphone == DISABLED
        await again.leave()
        said = await ann.join(TALK, options=ConnectOptions(microphone=ENABLED))
        assert said.state.value.microphone.wish


async def test_options_that_say_nothing_about_the_microphone_leave_it_as_the_room_says() -> None:
    async with client(Memory(), "ann") as ann:
        call = await ann.join(TALK, create=True, options=ConnectOptions(camera=DISABLED))
        assert call.state.value.microphone.wish


async def test_nobody_is_put_on_the_air_by_what_was_remembered() -> None:
    place = Memory()
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        hosting = await ann.join(ROOM, create=True)
        await hosting.go_live()
        call = await ben.join(ROOM)
        await hosting.grant(place.ben)
        await call.state.until(lambda state: Capability.SEND_AUDIO in state.capabilities, SECONDS)
        await call.set_microphone(True)
        await call.leave()
        await hosting.revoke(place.ben)
        again = await ben.join(ROOM)
        assert not again.state.value.microphone.wish


async def test_a_track_that_was_brought_along_is_heard_from_that_call() -> None:
    place = Memory()
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        brings = ConnectOptions(microphone=provided(Tone(700.0, -20.0)))
        await ann.join(TALK, create=True, options=brings)
        listening = await ben.join(TALK)
        await listening.state.until(lambda call: call.levels.get(place.ann, -96.0) > -30.0, SECONDS)


async def test_what_contradicts_itself_or_is_no_option_is_refused_before_anything_happens() -> None:
    async with client(Memory(), "ann") as ann:
        with pytest.raises(Misuse, match="different things"):
            await ann.join(TALK, create=True, microphone=True, options=ConnectOptions(microphone=DISABLED))
        with pytest.raises(Misuse, match="audio source"):
            await ann.join(TALK, create=True, options=ConnectOptions(microphone=provided("music.wav")))
        with pytest.raises(Misuse, match="ConnectOptions"):
            await ann.join(TALK, create=True, options={"microphone": True})  # type: ignore[arg-type]  # what a caller may do
        assert ann.state.value.calls == {}


async def test_what_cannot_be_done_on_entering_is_told_and_the_call_goes_on() -> None:
    async with client(Memory(), "ann") as ann:
        heard = Heard(ann)
        call = await ann.join(TALK, create=True, options=ConnectOptions(camera=ENABLED, input_device="USB"))
        assert call.state.value.phase is CallPhase.JOINED
        assert [event.reason for event in heard.of(SessionError)] == ["misuse", "not_available"]
        assert any("video is not available" in notice.text for notice in call.state.value.notices)


async def test_a_calls_preferences_are_its_own_over_the_clients() -> None:
    preferences = CallPreferences(audio_configuration=viewer(), reaction_seconds=1.0)
    async with client(Memory(), "ann", preferences=preferences, allow_multiple_active_calls=True) as ann:
        one = await ann.join(TALK, create=True)
        two = await ann.join("default:two", create=True, preferences=CallPreferences(reaction_seconds=2.0))
        assert one.audio_configuration.playout_target_ms == viewer().playout_target_ms
        assert (one.preferences.reaction_seconds, two.preferences.reaction_seconds) == (1.0, 2.0)
        await one.set_preferences(CallPreferences(drop_if_alone=False))
        assert (one.preferences.drop_if_alone, one.preferences.reaction_seconds) == (False, 1.0)
        with pytest.raises(Misuse, match="configure_audio"):
            await one.set_preferences(CallPreferences(audio_configuration=hi_fi()))
        ann.set_preferences(CallPreferences(reject_when_busy=True))
        assert (ann.preferences.reject_when_busy, ann.preferences.reaction_seconds) == (True, 1.0)


async def test_a_join_that_takes_too_long_is_given_up_and_leaves_nothing_behind() -> None:
    class Slow(Memory):
        """Rooms that never answer."""

    place = Slow()
    never = asyncio.Event()
    async with client(place, "ann") as ann:
        session = ann._core.session_open()

        async def wait(*_: object) -> None:
            await never.wait()

        session.do = wait  # type: ignore[assignment]  # a server that does not answer
        with pytest.raises(Unreachable, match=r"longer than 0\.2 s"):
            await ann.join(TALK, preferences=CallPreferences(connect_timeout_seconds=0.2))
        assert ann.state.value.calls == {}
        del session.do


# ---- settings


async def test_a_session_honours_its_settings_and_keeps_them() -> None:
    settings = CallSettings(
        mode=CallMode.SPOTLIGHT, start_muted=True, audio_only=True, buttons=Buttons(end=False, mute=True)
    )
    async with client(Memory(), "ann") as ann:
        call = await ann.start_session(TALK, settings, create=True)
        state = call.state.value
        assert (call.settings, call.view.layout) == (settings, Layout.SPOTLIGHT)
        assert not state.microphone.wish
        assert not has_button(BY_ID["leave"], state)
        assert has_button(BY_ID["microphone"], state)
        assert await ann.start_session(TALK, settings) is call
        with pytest.raises(Misuse, match="other settings"):
            await ann.start_session(TALK, CallSettings())


async def test_where_it_is_heard_is_chosen_by_name_and_only_with_devices() -> None:
    async with client(Memory(), "ann") as ann:
        heard = Heard(ann)
        call = await ann.start_session(TALK, CallSettings(output=AudioMode.HEADPHONES), create=True)
        assert (await heard.hears(SessionError)).reason == "misuse"
        assert call.audio_modes == ()
        with pytest.raises(Misuse, match="without devices"):
            await call.set_audio_mode("speaker")
        with pytest.raises(Misuse, match="speaker, earpiece, bluetooth, headphones"):
            await call.set_audio_mode("loud")


async def test_a_session_that_should_record_says_why_it_does_not() -> None:
    async with client(Memory(), "ann") as ann:
        heard = Heard(ann)
        await ann.start_session(TALK, CallSettings(record_on_start=True), create=True)
        assert (await heard.hears(SessionError)).reason == "not_available"


async def test_video_and_recording_are_refused_by_name_and_sound_acts() -> None:
    async with client(Memory(), "ann") as ann:
        call = await ann.join(TALK, create=True)
        for ask in (
            call.set_camera(True),
            call.switch_to_video(),
            call.pause_video(),
            call.pause_video_of("ben"),
            call.set_screen_share(True),
            call.start_recording(),
            call.stop_recording(),
            call.switch_camera(),
            call.set_video_quality("good"),
            call.set_video_bitrate(500),
        ):
            with pytest.raises(Refused) as refusal:
                await ask
            assert refusal.value.reason == "not_available"
        await call.set_quality("poor")
        assert call.audio_configuration.bitrate == 32_000
        await call.set_audio_bitrate(48)
        assert call.audio_configuration.bitrate == 48_000


# ---- what listeners hear


async def test_who_comes_speaks_raises_a_hand_and_goes_is_told_in_order() -> None:
    place = Memory()
    async with client(place, "ann") as ann, client(place, "ben", source=Tone(500.0, -20.0)) as ben:
        heard = Heard(ann)
        hosting = await ann.join(ROOM, create=True)
        await hosting.go_live()
        call = await ben.join(ROOM)
        await call.raise_hand()
        await hosting.state.until(lambda state: bool(state.room and state.room.hands), SECONDS)
        await hosting.grant_hand(place.ben)
        await call.state.until(lambda state: Capability.SEND_AUDIO in state.capabilities, SECONDS)
        await call.set_microphone(True)
        await heard.hears(DominantSpeakerChanged)
        await hosting.mute(place.ben)
        assert (await heard.hears(UserMuted)).by == place.ann
        await call.set_microphone(True)
        await hosting.state.until(lambda state: place.ben in state.speaking, SECONDS)
        await call.leave()
        went = await heard.hears(UserLeft)
        await heard.hears(UserListChanged, 3)
        assert (went.user, went.reason) == (place.ben, "left")
        about_ben = [
            type(event)
            for event in heard.events
            if getattr(event, "user", None) == place.ben and not isinstance(event, DominantSpeakerChanged)
        ]
        assert about_ben == [
            UserJoined, UserRaisedHand, UserLoweredHand, UserUnmuted, UserMuted, UserUnmuted, UserLeft,
        ]  # fmt: skip
        assert [event.users for event in heard.of(UserListChanged)] == [
            (place.ann,), (place.ann, place.ben), (place.ann,),
        ]  # fmt: skip
        assert isinstance(heard.events[1], SessionJoined | UserListChanged)


async def test_a_button_that_leaves_is_told_before_the_leaving_and_a_program_that_leaves_is_not() -> None:
    async with client(Memory(), "ann") as ann:
        heard = Heard(ann)
        call = await ann.join(TALK, create=True)
        await call.perform(Leave())
        kinds = [type(event) for event in heard.events]
        assert kinds.index(EndButtonPressed) < kinds.index(SessionLeft)
        await (await ann.join(TALK)).leave()
        assert len(heard.of(EndButtonPressed)) == 1
        assert len(heard.of(SessionLeft)) == 2


async def test_ending_is_for_everybody_and_leaving_for_oneself() -> None:
    place = Memory()
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        heard = Heard(ben)
        hosting, call = await ann.join(TALK, create=True), await ben.join(TALK)
        await hosting.end()
        assert await left(call) == "ended"
        assert (await heard.hears(CallEnded)).by == place.ann
        assert (await heard.hears(SessionLeft)).reason == "ended"
        assert len(heard.of(CallEnded)) == 1
        two, three = await ann.join("default:two", create=True), await ben.join("default:two")
        await two.leave()
        await three.state.until(lambda state: bool(state.room and len(state.room.participants) == 1), SECONDS)
        assert three.state.value.phase is CallPhase.JOINED


async def test_a_lost_connection_keeps_wishes_and_view_and_is_told() -> None:
    place = Memory()
    async with client(place, "ann") as ann:
        heard = Heard(ann)
        call = await ann.start_session(TALK, CallSettings(start_muted=False), create=True)
        await call.set_layout("sidebar")
        await call.pin(place.ann)
        membership = call._membership

        async def lose() -> None:
            membership.reconnecting(1)

        async def back() -> None:
            membership.back()

        await ann.engine.run(lose())
        assert isinstance(await heard.hears(ConnectionLost), ConnectionLost)
        await ann.engine.run(back())
        await heard.hears(ConnectionRestored)
        state = call.state.value
        assert (state.view.layout, state.view.pins, state.microphone.wish) == (
            Layout.SIDEBAR, (place.ann,), True,
        )  # fmt: skip


async def test_a_connection_that_ends_for_good_is_told_with_its_reason() -> None:
    place = Memory()
    async with client(place, "ann") as ann:
        heard = Heard(ann)
        call = await ann.join(TALK, create=True)
        async with client(place, "ann"):
            assert await left(call) == "you came in from somewhere else"
        assert heard.of(ConnectionClosed)[0].reason == "you came in from somewhere else"


async def test_a_listener_that_raises_is_logged_once_and_the_call_goes_on() -> None:
    async with client(Memory(), "ann") as ann:

        def raise_(_event: SessionEvent) -> None:
            raise RuntimeError("mine alone")

        ann.add_listener("broken", raise_)
        call = await ann.join(TALK, create=True)
        await call.set_layout("tile")
        await call.set_layout("list")
        lines = [line.text for line in ann.state.value.log if "broken" in line.text]
        assert lines == ["listener 'broken' raised RuntimeError; this is said once"]
        assert call.state.value.phase is CallPhase.JOINED
    assert ann.listeners == (), "a closed client keeps nobody"


# ---- looking


async def test_layout_pins_and_the_small_view_are_my_own_and_are_told() -> None:
    place = Memory()
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        heard = Heard(ann)
        call, other = await ann.join(TALK, create=True), await ben.join(TALK)
        await call.state.until(lambda state: bool(state.room and place.ben in state.room.participants))
        await call.set_layout(Layout.SPOTLIGHT)
        await call.pin(place.ben)
        await call.enter_picture_in_picture()
        await call.exit_picture_in_picture()
        await call.unpin()
        assert heard.of(LayoutChanged)[0].layout is Layout.SPOTLIGHT
        assert [event.pins for event in heard.of(PinsChanged)] == [(place.ben,), ()]
        assert [event.on for event in heard.of(PictureInPictureChanged)] == [True, False]
        assert other.view.layout is Layout.LIST
        with pytest.raises(Misuse, match="tile, spotlight, sidebar, list"):
            await call.set_layout("cinema")
        with pytest.raises(Misuse, match="nobody to pin"):
            await call.pin("nobody")


# ---- how a session ends by itself


QUICK = IdleTimeout(0.4, 0.4, IdleWhen.ALONE)


async def test_who_is_alone_is_asked_and_then_leaves_with_the_reason() -> None:
    async with client(Memory(), "ann") as ann:
        heard = Heard(ann)
        call = await ann.start_session(TALK, CallSettings(idle_timeout=QUICK), create=True)
        asked = await call.state.until(lambda state: state.idle.phase is IdlePhase.PROMPTING, SECONDS)
        assert asked.idle.ends_at is not None
        reason = await left(call)
        assert reason is not None
        assert reason.startswith("you were alone")
        await heard.hears(SessionLeft)
        kinds = [type(event) for event in heard.events]
        assert kinds.index(SessionPrompted) < kinds.index(SessionTimedOut) < kinds.index(SessionLeft)
        await ann.state.until(lambda state: state.calls == {}, SECONDS)


async def test_who_stays_when_asked_is_asked_again_later() -> None:
    async with client(Memory(), "ann") as ann:
        call = await ann.start_session(TALK, CallSettings(idle_timeout=QUICK), create=True)
        first = await call.state.until(lambda state: state.idle.phase is IdlePhase.PROMPTING, SECONDS)
        await call.stay()
        assert call.state.value.idle.phase is IdlePhase.ARMED
        again = await call.state.until(lambda state: state.idle.phase is IdlePhase.PROMPTING, SECONDS)
        assert (again.idle.ends_at or 0.0) > (first.idle.ends_at or 0.0)


async def test_company_and_a_plain_join_never_time_out() -> None:
    place = Memory()
    settings = CallSettings(idle_timeout=QUICK)
    async with client(place, "ann") as ann, client(place, "ben") as ben:
        heard = Heard(ann)
        call = await ann.start_session(TALK, settings, create=True)
        plain = await ben.join(TALK)
        await call.state.until(lambda state: bool(state.room and len(state.room.participants) == 2), SECONDS)
        assert plain.state.value.idle.phase is IdlePhase.OFF
        await call.state.until(
            lambda state: state.idle.phase is IdlePhase.ARMED and state.idle.since is None, SECONDS
        )
        await plain.leave()
        await call.state.until(lambda state: state.idle.phase is IdlePhase.PROMPTING, SECONDS)
        assert heard.of(SessionTimedOut) == []


# ---- beside the calls


async def test_each_call_shows_that_it_runs_until_it_is_over() -> None:
    async with client(Memory(), "ann", allow_multiple_active_calls=True) as ann:
        one, two = await ann.join(TALK, create=True), await ann.join("default:two", create=True)
        await ann.state.until(lambda state: len(state.services) == 2, SECONDS)
        assert {service.kind for service in ann.state.value.services} == {ServiceKind.CALL}
        with pytest.raises(Misuse, match="say which"):
            ann.services.stop("call")
        assert ann.services.stop("call", two.cid)
        assert two.state.value.phase is CallPhase.JOINED, "the call goes on"
        await one.leave()
        assert (await ann.state.until(lambda state: not state.services, SECONDS)).services == ()


async def test_each_side_of_a_clients_calls_is_observed_by_itself_with_replay() -> None:
    place = Memory()
    async with client(place, "ann", allow_multiple_active_calls=True) as ann, client(place, "ben") as ben:
        one = await ann.join(TALK, create=True)
        seen: list[tuple[str, ...]] = []
        with ann.observe.active.subscribe(lambda calls: seen.append(tuple(call.cid for call in calls))):
            two = await ann.join("default:two", create=True)
            await ann.observe.focused.until(lambda call: call is two, SECONDS)
            await one.leave()
            await ann.observe.active.until(lambda calls: calls == (two,), SECONDS)
        assert seen[0] == (one.cid,)
        assert seen[-1] == (two.cid,)
        await ann.watch_rooms()
        rooms = await ann.observe.watched.until(lambda rooms: len(rooms) == 2, SECONDS)
        assert {room.cid for room in rooms} == {one.cid, two.cid}
        ring = asyncio.create_task(ben.ring([place.ann], join=False))
        incoming = await ann.observe.incoming.until(lambda rings: len(rings) == 1, SECONDS)
        await ben.observe.outgoing.until(lambda rings: len(rings) == 1, SECONDS)
        assert incoming[0].by == place.ben
        ring.cancel()


async def test_what_is_done_outside_a_session_is_an_error_and_leaving_again_is_quiet() -> None:
    async with client(Memory(), "ann") as ann:
        call = await ann.join(TALK, create=True)
        await call.leave()
        for what in (
            call.post("hello"),
            call.perform(RaiseHand()),
            call.set_microphone(True),
            call.stay(),
            call.set_layout("tile"),
            call.pin("ben"),
            call.enter_picture_in_picture(),
            call.set_audio_mode("speaker"),
            call.configure_audio(bitrate=32_000),
            call.set_camera(True),
            call.switch_camera(),
            call.react("👍"),
            call.end(),
        ):
            with pytest.raises(Misuse, match="session in 'default:talk' is over"):
                await what
        with pytest.raises(Misuse, match="is over"):
            call.set_volume("ben", 1.0)
        await call.leave()
        await call.perform(Leave())
