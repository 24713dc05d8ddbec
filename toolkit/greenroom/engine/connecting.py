"""Coming into a room with options, settings and preferences, and remembering them for the next time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from greenroom.engine.session import SessionLife
from greenroom.engine.shared_source import SharedSource
from greenroom.errors import GreenroomError, Misuse, Unreachable
from greenroom.policies.audio_config import AudioConfiguration
from greenroom.policies.preferences import CallPreferences, resolve_preferences
from greenroom.protocol.ids import Cid
from greenroom.protocol.requests import GetOrCreate, SetCamera, SetRecording, SetScreenShare
from greenroom.state.call import CallPhase
from greenroom.state.call_settings import JOINED_WITHOUT_SETTINGS, CallSettings
from greenroom.state.connect_options import (
    Choice,
    ConnectOptions,
    TrackOption,
    enabled,
    merged,
    options_of,
)

if TYPE_CHECKING:
    from greenroom.engine.client_core import ClientCore
    from greenroom.engine.membership import Membership


class Entry(msgspec.Struct, frozen=True):
    """With what somebody comes in. `settings` None is a plain join."""

    create: bool = False
    title: str = ""
    microphone: bool | None = None
    audio_configuration: AudioConfiguration | None = None
    options: ConnectOptions = ConnectOptions()
    preferences: CallPreferences = CallPreferences()
    settings: CallSettings | None = None


class Opening(NamedTuple):
    """What a membership begins with. `source`: sound brought along instead of the client's; `remembered`: how the
    microphone was when the room was left."""

    life: SessionLife
    source: SharedSource | None = None
    remembered: bool | None = None


async def enter(core: ClientCore, cid: Cid, entry: Entry) -> Membership:
    """Come into a room as `entry` says; in it already: the same membership.

    Raises `Refused`, `Unreachable` (also when it takes longer than the preferences allow), or `Misuse` where the entry
    contradicts itself or the session that is on already.
    """
    _check(entry)
    given = _given(entry)
    known = core.memberships.get(cid)
    if known is not None and known.state.value.phase is not CallPhase.LEFT:
        if entry.settings is not None and entry.settings != known.state.value.settings:
            raise Misuse(f"a session in '{cid}' is on with other settings; leave it first")
        return await core.join(cid)
    preferences = resolve_preferences(entry.preferences, core.sessions.preferences)
    seconds = preferences.connect_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            await core.connect(cid)
            if entry.create:
                await core.session_open().do(cid, GetOrCreate(entry.title))
            membership = await _join(core, cid, entry, given)
    except TimeoutError:
        raise Unreachable(f"coming into '{cid}' took longer than {seconds:g} s; try again") from None
    core.sessions.remembered.keep(cid, given)
    await _apply(core, membership, merged(core.sessions.remembered.of(cid), given), given)
    return membership


def _check(entry: Entry) -> None:
    for name, kind in _KINDS.items():
        value = getattr(entry, name)
        if value is not None and not isinstance(value, kind):
            raise Misuse(f"{name} must be a {kind.__name__}, not {type(value).__name__}")


_KINDS = {"options": ConnectOptions, "preferences": CallPreferences, "settings": CallSettings}


def _given(entry: Entry) -> ConnectOptions:
    """What is said this time: by the settings, by the options, by `microphone`, which must not contradict them."""
    options = entry.options
    if entry.microphone is not None:
        said = options.microphone
        if isinstance(said, TrackOption) and said.on is not entry.microphone:
            raise Misuse("microphone and options.microphone say different things; give one of them")
        if said is UNSET:
            options = replace(options, microphone=enabled(entry.microphone))
    return merged(options_of(entry.settings or JOINED_WITHOUT_SETTINGS), options)


async def _join(core: ClientCore, cid: Cid, entry: Entry, given: ConnectOptions) -> Membership:
    remembered = core.sessions.remembered.of(cid).microphone
    said = given.microphone
    track = said if isinstance(said, TrackOption) else remembered
    source = None
    if isinstance(track, TrackOption) and track.choice is Choice.PROVIDED:
        source = SharedSource(_source(track.track))
    audio = entry.audio_configuration
    if audio is None and isinstance(entry.preferences.audio_configuration, AudioConfiguration):
        audio = entry.preferences.audio_configuration
    life = core.sessions.life(
        cid,
        entry.settings or JOINED_WITHOUT_SETTINGS,
        entry.preferences,
        lambda words: core.session_over(cid, words),
    )
    wish = said.on if isinstance(said, TrackOption) else None
    before = remembered.on if isinstance(remembered, TrackOption) else None
    return await core.join(cid, wish, audio, Opening(life, source, before))


def _source(track: Any) -> Any:
    if not callable(getattr(track, "read", None)) or not isinstance(getattr(track, "channels", None), int):
        raise Misuse("the track provided as microphone must be an audio source, e.g. greenroom.File or Tone")
    return track


async def _apply(
    core: ClientCore, membership: Membership, options: ConnectOptions, given: ConnectOptions
) -> None:
    """Do what can be done once we are in. What fails is told, and does not undo the join."""
    await _tried(membership, lambda: _choose_devices(core, options))
    session, cid, settings = core.session_open(), membership.cid, membership.state.value.settings
    if isinstance(given.camera, TrackOption) and given.camera.on:
        await _tried(membership, lambda: session.do(cid, SetCamera(True)))
    if isinstance(given.screen_share, TrackOption) and given.screen_share.on:
        await _tried(membership, lambda: session.do(cid, SetScreenShare(True)))
    if settings.record_on_start:
        await _tried(membership, lambda: session.do(cid, SetRecording(True)))
    mode = settings.output
    if mode is not None:
        await _tried(membership, lambda: core.sound.set_audio_mode(mode))


async def _choose_devices(core: ClientCore, options: ConnectOptions) -> None:
    wishes = {
        name: "" if device is None else device
        for name, device in (("input", options.input_device), ("output", options.output_device))
        if isinstance(device, str | None)
    }
    if not wishes:
        return
    if core.sound.devices is None:
        raise Misuse("this client was made without devices, so the call uses the sound it was given")
    core.sound.devices.choose(**wishes)


async def _tried(membership: Membership, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except GreenroomError as error:
        membership.warn(error, time.time())
