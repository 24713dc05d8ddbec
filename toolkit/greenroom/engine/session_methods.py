"""What can be done while a session is on: how it looks, where it is heard, when it ends; video and recording are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from greenroom.engine.membership import Membership
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import Misuse, Refused
from greenroom.policies.preferences import CallPreferences, Preferences, changed
from greenroom.protocol.ids import UserId
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import PauseVideo, Request, SetCamera, SetRecording, SetScreenShare
from greenroom.state.call import CallPhase
from greenroom.state.call_settings import AudioMode, CallSettings
from greenroom.state.connect_options import ConnectOptions
from greenroom.state.layout import CallView, Layout, with_pin, without_pin
from greenroom.state.own_requests import (
    ConfigureAudio,
    OwnRequest,
    Pin,
    SetLayout,
    SetPersonMuted,
    SetPictureInPicture,
    SetVolume,
    Stay,
    Unpin,
)
from greenroom.state.video_quality import CallQuality, quality_named
from greenroom.state.volumes import LOUDEST

if TYPE_CHECKING:
    from greenroom.engine.client import Client

HERE = (CallPhase.JOINING, CallPhase.JOINED, CallPhase.RECONNECTING)


class SessionMethods:
    """The part of `Call` that is about the session rather than the room. Outside a session its methods raise `Misuse`."""

    _client: Client
    _membership: Membership

    @property
    def engine(self) -> EngineThread:
        return self._client.engine

    @property
    def settings(self) -> CallSettings:
        """What the session was started with; fixed until it is left."""
        return self._membership.state.value.settings

    @property
    def preferences(self) -> Preferences:
        """What holds for this call, each value decided."""
        return self._membership.life.preferences

    @property
    def options(self) -> ConnectOptions:
        """With what this room would be entered again."""
        return self._client._core.sessions.remembered.of(self._membership.cid)

    @property
    def view(self) -> CallView:
        """How I look at the call."""
        return self._membership.state.value.view

    @property
    def audio_modes(self) -> tuple[AudioMode, ...]:
        """Where one can listen now, as far as the names of the devices tell; empty without devices."""
        return self._client._core.sound.audio_modes(self._client.state.value.devices)

    @on_engine
    async def set_preferences(self, preferences: CallPreferences) -> None:
        """Change what `preferences` sets. Raises `Misuse` for the audio configuration: see `configure_audio`."""
        self._in_session()
        if preferences.audio_configuration is not UNSET:
            raise Misuse("a call's sound changes by configure_audio, as far as it can while it is used")
        self._membership.life.preferences = changed(self._membership.life.preferences, preferences)

    # ---- staying and looking

    @on_engine
    async def stay(self) -> None:
        """Say that I am still here: the idle timeout begins anew."""
        self._own(Stay())

    @on_engine
    async def set_layout(self, layout: Layout | str) -> None:
        """Arrange the people in another way, for me alone. Raises `Misuse` for what is no layout."""
        try:
            self._own(SetLayout(Layout(layout)))
        except ValueError:
            known = ", ".join(Layout)
            raise Misuse(f"there is no layout '{str(layout)[:40]}'; there are {known}") from None

    @on_engine
    async def pin(self, user: str) -> None:
        """Keep somebody who is here first, for me alone; whoever was pinned before comes after them."""
        self._own(Pin(UserId(user)))

    @on_engine
    async def unpin(self, user: str | None = None) -> None:
        """Keep `user` first no longer, or without one nobody."""
        self._own(Unpin(None if user is None else UserId(user)))

    @on_engine
    async def enter_picture_in_picture(self) -> None:
        """Show the call small, beside something else."""
        self._own(SetPictureInPicture(True))

    @on_engine
    async def exit_picture_in_picture(self) -> None:
        """Show the call whole again."""
        self._own(SetPictureInPicture(False))

    # ---- sound

    @on_engine
    async def set_audio_mode(self, mode: AudioMode | str) -> None:
        """Listen through another kind of device from now on, with every call of this client.

        Raises `Refused` (`not_available`) where there is none of that kind, `Misuse` for a client without devices.
        """
        self._in_session()
        try:
            wanted = AudioMode(mode)
        except ValueError:
            known = ", ".join(AudioMode)
            raise Misuse(f"there is no audio mode '{str(mode)[:40]}'; there are {known}") from None
        await self._client._core.sound.set_audio_mode(wanted)

    @on_engine
    async def set_audio_bitrate(self, kbps: int) -> None:
        """Send with `kbps` from the next packet on, 6 to 510. Raises `Misuse` or `Refused`."""
        self._in_session()
        self._membership.configure_audio({"bitrate": kbps * 1_000})

    @on_engine
    async def set_quality(self, quality: CallQuality | str) -> None:
        """Use a named quality: poor, medium or good. Its sound acts at once; its picture will, once there is video."""
        self._in_session()
        wanted = quality_named(quality) if isinstance(quality, str) else quality
        self._membership.configure_audio({"bitrate": wanted.audio_kbps * 1_000})

    # ---- known, and refused as not available

    async def set_camera(self, on: bool) -> None:
        """Send a picture of me."""
        await self._ask(SetCamera(on))

    async def switch_to_video(self) -> None:
        """Make this a call with video."""
        await self._ask(SetCamera(True))

    async def pause_video(self, paused: bool = True) -> None:
        """Hold my picture, or go on with it."""
        await self._ask(SetCamera(not paused))

    async def pause_video_of(self, user: str) -> None:
        """Close somebody's camera."""
        await self._ask(PauseVideo(UserId(user)))

    async def set_screen_share(self, on: bool) -> None:
        """Share my screen."""
        await self._ask(SetScreenShare(on))

    async def start_recording(self) -> None:
        """Record the call."""
        await self._ask(SetRecording(True))

    async def stop_recording(self) -> None:
        """End the recording."""
        await self._ask(SetRecording(False))

    @on_engine
    async def switch_camera(self) -> None:
        """Use the other camera."""
        self._no_video()

    @on_engine
    async def set_video_quality(self, quality: CallQuality | str) -> None:
        """Send pictures of another size. Raises `Malformed` for a name that is none."""
        self._in_session()
        if isinstance(quality, str):
            quality_named(quality)
        self._no_video()

    @on_engine
    async def set_video_bitrate(self, kbps: int) -> None:
        """Send pictures with `kbps`."""
        self._no_video()

    # ---- how it is done

    @on_engine
    async def _ask(self, request: Request) -> None:
        """Ask the room while in it."""
        self._in_session()
        self._membership.life.acted()
        await self._client._core.session_open().do(self._membership.cid, request)

    def _own(self, request: OwnRequest) -> None:
        """Do what concerns our own engine alone."""
        self._in_session()
        membership = self._membership
        membership.life.acted()
        view = membership.state.value.view
        match request:
            case Stay():
                membership.stay()
            case SetLayout(layout):
                membership.set_view(replace(view, layout=layout))
            case Pin(user):
                room = membership.state.value.room
                if room is None or user not in room.participants:
                    raise Misuse(f"'{user[:64]}' is not here by name, so there is nobody to pin")
                membership.set_view(with_pin(view, user))
            case Unpin(user):
                membership.set_view(without_pin(view, user))
            case SetVolume(user, gain):
                membership.set_volume(user, min(max(gain, 0.0), LOUDEST))
            case SetPersonMuted(user, muted):
                membership.set_person_muted(user, muted)
            case ConfigureAudio(changes):
                membership.configure_audio(changes)
            case SetPictureInPicture(on):
                membership.set_view(replace(view, picture_in_picture=on))

    def _in_session(self) -> None:
        state = self._membership.state.value
        if state.phase not in HERE:
            why = f" ({state.left_reason})" if state.left_reason else ""
            raise Misuse(f"the session in '{state.cid}' is over{why}; join again first")

    def _no_video(self) -> None:
        self._in_session()
        raise Refused(
            "video is not available on this server yet; audio is", reason=Reason.NOT_AVAILABLE.value
        )


class BlockingSessionMethods(Blocking):
    """`SessionMethods` without `await`."""

    set_preferences = twin(SessionMethods.set_preferences)
    stay = twin(SessionMethods.stay)
    set_layout = twin(SessionMethods.set_layout)
    pin = twin(SessionMethods.pin)
    unpin = twin(SessionMethods.unpin)
    enter_picture_in_picture = twin(SessionMethods.enter_picture_in_picture)
    exit_picture_in_picture = twin(SessionMethods.exit_picture_in_picture)
    set_audio_mode = twin(SessionMethods.set_audio_mode)
    set_audio_bitrate = twin(SessionMethods.set_audio_bitrate)
    set_quality = twin(SessionMethods.set_quality)
    set_camera = twin(SessionMethods.set_camera)
    switch_to_video = twin(SessionMethods.switch_to_video)
    pause_video = twin(SessionMethods.pause_video)
    pause_video_of = twin(SessionMethods.pause_video_of)
    set_screen_share = twin(SessionMethods.set_screen_share)
    start_recording = twin(SessionMethods.start_recording)
    stop_recording = twin(SessionMethods.stop_recording)
    switch_camera = twin(SessionMethods.switch_camera)
    set_video_quality = twin(SessionMethods.set_video_quality)
    set_video_bitrate = twin(SessionMethods.set_video_bitrate)
