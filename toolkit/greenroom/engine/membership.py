"""The engine's side of one room: its replica, its state, its microphone and its sound. Lives on the engine's loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from greenroom.backends.base import Session
from greenroom.engine.announced import Announced
from greenroom.engine.call_audio import CallAudio
from greenroom.engine.call_media import CallMedia
from greenroom.engine.ears import Ears
from greenroom.engine.folding import (
    people_by_number,
    wish_after,
    with_events,
    with_notice,
    with_reaction,
    without_old_reactions,
)
from greenroom.engine.lines import Lines
from greenroom.engine.moments import Moments
from greenroom.engine.session import SessionLife
from greenroom.engine.shared_source import SharedSource
from greenroom.engine.statistics import Sampler
from greenroom.engine.stats import Measurements
from greenroom.engine.volumes import Volumes
from greenroom.errors import GreenroomError, Refused
from greenroom.media.dsp import gain_of
from greenroom.media.playout import Playout
from greenroom.observable import Observable
from greenroom.policies.multicall import fade_seconds
from greenroom.protocol.call_types import AudioSettings
from greenroom.protocol.deciding import missing
from greenroom.protocol.events import Event, MicrophoneChanged, ParticipantLeft, RoomEnded
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import SetMicrophone, SetSuspended
from greenroom.protocol.room import LeaveReason, may
from greenroom.protocol.wire import (
    CustomSignal,
    Emitted,
    FromPeer,
    Happened,
    LossReport,
    MediaLost,
    PersonQuality,
    Pulse,
    Removed,
    Snapshot,
    Typing,
)
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.call_settings import JOINED_WITHOUT_SETTINGS, CallSettings, first_view
from greenroom.state.engine import LogLine
from greenroom.state.focus import Share
from greenroom.state.layout import CallView
from greenroom.state.microphone import effective_hearing, effective_microphone
from greenroom.state.path import STRAIGHT, MediaPath
from greenroom.state.replica import Outcome, Replica, receive
from greenroom.state.session_events import CallEnded
from greenroom.state.volumes import Volume
from greenroom.views.log import notice_words

AboutRoom = (
    Snapshot | Happened | Pulse | PersonQuality | LossReport | Emitted | FromPeer | MediaLost | Removed
)
log = logging.getLogger(__name__)
CustomHeard = Callable[[UserId, str, CustomSignal], None]


class Owner(Protocol):
    """What a membership tells the client it belongs to."""

    def call_changed(self, cid: Cid, state: CallState) -> None: ...

    def log(self, lines: tuple[LogLine, ...]) -> None: ...

    def microphone_missing(self) -> str: ...

    def speaker_missing(self) -> str: ...


class Membership:
    """Folds what the room tells into one observable `CallState`, and keeps microphone and sound as that state says."""

    def __init__(
        self,
        cid: Cid,
        me: UserId,
        session: Session,
        source: SharedSource,
        playout: Playout,
        owner: Owner,
        audio: CallAudio | None = None,
        life: SessionLife | None = None,
        brings_sound: bool = False,
        fade_out_seconds: float = 0.0,
        volumes: Volumes | None = None,
    ) -> None:
        self.cid = cid
        self.life = life or SessionLife(cid)
        self.audio = audio or CallAudio(None, None)
        self.volumes = volumes or Volumes(changed=self.volumes_changed)
        self.state = Observable(_with_volumes(_beginning(cid, me, self.life.settings), self.volumes))
        self.ears = Ears()
        self.custom: list[CustomHeard] = []
        self.measurements = Measurements()
        self.replica = Replica(cid)
        self._session = session
        self._playout = playout
        self._owner = owner
        self._brings_sound = brings_sound
        self._media = CallMedia(cid, session, source, playout, self._media_changed, self._path_changed)
        self._moments = Moments()
        self._people: Mapping[int, UserId] = {}
        self._changed_numbers: set[int] = set()
        self._sampler = Sampler()
        self._lines = Lines(me)
        self._microphone_lock = asyncio.Lock()
        self._told: bool | None = None
        self._suspension = Announced(
            lambda: _elsewhere(self.state.value.share),
            lambda suspended: session.do(cid, SetSuspended(suspended)),
            # what is told closes our line: first the end of what we say goes out
            lambda suspended: fade_out_seconds if suspended and self.state.value.microphone.wish else 0.0,
        )
        self._missing_after: tuple[int, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- what the room tells

    def receive(self, message: AboutRoom) -> None:
        """Take one message about this room."""
        now = time.time()
        match message:
            case Snapshot() | Happened():
                self._fold(message, now)
            case Pulse():
                self._moments.pulsed(message)
            case PersonQuality():
                self._lines.told(message)
                self._set(self._with_lines(self.state.value))
            case LossReport(_, p90_fraction):
                self.audio.lost(p90_fraction)
                self._apply_audio()
            case Emitted(_, user, name, Typing()):
                self._moments.typed(user, name, now)
            case Emitted(_, user, name, CustomSignal() as signal):
                self._hear_custom(user, name, signal)
            case Emitted():
                self._set(with_reaction(self.state.value, message, now))
            case FromPeer(_, user, body):
                self._media.peer_said(user, body)
            case MediaLost(_, reason):
                self._media.forwarding_lost(reason)
            case Removed():
                self._removed(message, now)

    def _fold(self, message: Snapshot | Happened, now: float) -> None:
        before = self.replica
        self.replica, outcome = receive(before, message)
        if outcome is Outcome.GAP and self._missing_after != (before.epoch, before.seq):
            self._missing_after = (before.epoch, before.seq)  # ask once, however much follows the gap
            self._session.sync(self.cid, before.epoch, before.seq)
        if outcome is not Outcome.APPLIED:
            return
        self._missing_after = None
        state = self.state.value
        events: tuple[Event, ...] = ()
        if isinstance(message, Happened):
            events = message.events[before.seq + 1 - message.seq :]
            state, lines = with_events(state, before.room, events, now)
            self._owner.log(lines)
            if any(isinstance(event, MicrophoneChanged) and event.user == state.me for event in events):
                self._told = None
        else:
            self._told = None
            self._suspension.forget()
            if state.phase is CallPhase.RECONNECTING:
                self._media.forwarding_lost()  # we had to join again, so our sound was let go of
        room = self.replica.room
        wish = wish_after(state.microphone.wish, state.me, before.room, room, events)
        phase = state.phase
        if phase is CallPhase.RECONNECTING and room is not None and state.me in room.participants:
            phase = CallPhase.JOINED
        self._set(
            replace(
                state,
                room=room,
                phase=phase,
                reconnect_attempt=0 if phase is CallPhase.JOINED else state.reconnect_attempt,
                microphone=replace(state.microphone, wish=wish),
            )
        )
        self.life.room_changed(before.room, events, room, now)

    def _hear_custom(self, user: UserId, name: str, signal: CustomSignal) -> None:
        for heard in tuple(self.custom):
            try:
                heard(user, name, signal)
            except Exception:  # an application's fault is its own
                log.exception("a listener to custom signals raised")

    def _removed(self, message: Removed, now: float) -> None:
        state = self.state.value
        if state.phase is CallPhase.LEFT:
            return
        if message.reason in set(LeaveReason):
            left: Event = ParticipantLeft(state.me, LeaveReason(message.reason), message.by)
            if message.reason == LeaveReason.ENDED:
                left = RoomEnded(now, message.by)
                self.life.ended(CallEnded(self.cid, now, message.by))
            words = notice_words(left, state.room, state.me)
            already = words is not None and any(notice.text == words[0] for notice in state.notices[-3:])
            if words is not None and not already:
                self._set(with_notice(state, *words, now))
        else:
            self._set(with_notice(state, message.reason, "bad", now))
        self.spawn(self.end(message.reason))

    # ---- what the engine does

    def enter(self) -> None:
        """Fix what our sound is made of. Raises `Refused` when the room does not allow it."""
        room = self.state.value.room
        self.audio.enter(AudioSettings() if room is None else room.settings.audio)
        if room is not None and not self.life.settings.audio_only:
            self._media.video_lines = room.settings.video.enabled + room.settings.screen.enabled
        self._apply_audio()

    def configure_audio(self, changes: Mapping[str, Any]) -> None:
        """Change what may still change of our sound; it acts on the next packet. Raises `Misuse` or `Refused`."""
        self.audio.configure(changes)
        self._apply_audio()

    def sound_changed(self) -> None:
        """Say anew what becomes of our wishes about sound: the source is another one, or what treats it is."""
        if self.audio.effective.frozen:
            self._apply_audio()

    def routed(self, reason: str) -> None:
        """Say why our wish for a route of the output has no effect here; "" where it has."""
        if self.audio.effective.route_reason != reason:
            self.audio.routed(reason)
            self.sound_changed()

    def joining(self) -> None:
        """Say that the room was asked to let us in."""
        self._change(phase=CallPhase.JOINING, left_reason=None)

    def joined(self, microphone: bool) -> None:
        """Say that we are in; connect sound. `microphone` is the person's wish."""
        state = self.state.value
        self._set(
            replace(state, phase=CallPhase.JOINED, microphone=replace(state.microphone, wish=microphone))
        )
        self._media.attach()

    def reconnecting(self, attempt: int) -> None:
        """Say that the server cannot be reached; sound may still flow."""
        if self.state.value.phase in (CallPhase.JOINED, CallPhase.RECONNECTING):
            self._told = self._missing_after = None
            self._suspension.forget()
            self._change(phase=CallPhase.RECONNECTING, reconnect_attempt=attempt)

    def back(self) -> None:
        """Say that the server is back and we are still in; what was missed follows."""
        if self.state.value.phase is CallPhase.RECONNECTING:
            self._change(phase=CallPhase.JOINED, reconnect_attempt=0)

    async def end(self, reason: str | None) -> None:
        """Close sound and stay as a call that was left. Twice is quiet."""
        if self.state.value.phase is CallPhase.LEFT:
            return
        self._change(
            phase=CallPhase.LEFT,
            media=MediaPhase.NONE,
            path=MediaPath(),
            left_reason=reason,
            levels={},
            speaking=frozenset(),
            dominant=None,
            typing=(),
        )
        await self._media.close()

    def take_share(self, share: Share) -> None:
        """Use what this call is given of microphone and loudspeaker: heard at once, and told to the room after that."""
        before = self.state.value.share
        if share == before or self.state.value.phase is CallPhase.LEFT:
            return
        self._media.set_hearing(gain_of(share.gain_db), share.pan, fade_seconds(before, share))
        self._change(share=share, suspended=share.suspended)

    async def tell_suspension(self) -> None:
        """Return once the room knows whether our sound is elsewhere, or cannot be told now. Raises `Refused`."""
        myself = self.state.value.myself
        if self.state.value.phase is CallPhase.JOINED and myself is not None:
            await self._suspension.tell(myself.suspended)

    def notice(self, words: str, tone: str) -> None:
        """Tell the person something about this call."""
        self._set(with_notice(self.state.value, words, tone, time.time()))

    def warn(self, error: GreenroomError, now: float) -> None:
        """Tell the person, and whoever listens, that something asked for did not happen."""
        self._set(with_notice(self.state.value, str(error), "warning", now))
        self.life.failed(error, now)

    def set_view(self, view: CallView) -> None:
        """Look at the call in another way."""
        if view != self.state.value.view:
            self._change(view=view)

    def stay(self) -> None:
        """Begin anew to count how long nobody uses the session."""
        self._set(self.life.stayed(self.state.value))

    async def set_microphone(self, on: bool) -> None:
        """Set the wish and tell the room. Raises `Refused` before anything is touched when we may not speak."""
        state = self.state.value
        room = state.room
        if on and room is not None and not may(room, state.me, Capability.SEND_AUDIO):
            refusal = missing(room, Capability.SEND_AUDIO, "open your microphone")
            raise Refused(
                refusal.message,
                reason=refusal.reason.value,
                missing=Capability.SEND_AUDIO.value,
                requestable=refusal.requestable,
            )
        self._change(microphone=replace(state.microphone, wish=on))
        await self._tell_microphone()

    async def _tell_microphone(self) -> None:
        async with self._microphone_lock:
            wish = self.state.value.microphone.wish
            self._told = wish
            try:
                await self._session.do(self.cid, SetMicrophone(wish))
            except Refused:
                self._told = None
                if wish and self.state.value.microphone.wish:
                    self._change(microphone=replace(self.state.value.microphone, wish=False))
                raise

    def sample(self, now: float, statistics: bool) -> None:
        """Take levels (10 times a second) and, when asked, statistics into the state."""
        state = without_old_reactions(self.state.value, now, self.life.preferences.reaction_seconds)
        if state.phase is CallPhase.LEFT:
            return
        media = self._media.current
        connected = media if media is not None and media.connected else None
        state = self._moments.look(state, self._people, connected, now)
        if statistics and self.measurements.running and connected is not None:
            sampled = self._sampler.sample(connected.statistics(), self._people, now, connected)
            self.measurements.take(sampled)
            self._lines.sampled(sampled)
            state = self._with_lines(replace(state, statistics=sampled))
        self._set(self.life.looked(state, now))
        self.life.check(self.state.value, now)
        if statistics and state.path.way in STRAIGHT and media is not None:
            self.receive(LossReport(self.cid, media.statistics().sent.lost_percent / 100.0))
        self._media.refresh_path()

    def set_volume(self, user: UserId, gain: float) -> None:
        """Make one person louder or softer for us, in every call, now and whenever they are heard again; not muted then."""
        self.volumes.set(user, Volume(gain))

    def set_person_muted(self, user: UserId, muted: bool) -> None:
        """Hear one person no more, or again as loud as before, in every call."""
        self.volumes.set(user, replace(self.volumes.of(user), muted=muted))

    def volumes_changed(self) -> None:
        """Play everybody as loud as they are to be now."""
        self._set(_with_volumes(self.state.value, self.volumes))
        self._apply_volumes()

    def user_of(self, number: int) -> UserId | None:
        """Return who is heard under `number` here."""
        return self._people.get(number)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside; a refusal becomes a notice."""

        async def run() -> None:
            try:
                await work
            except GreenroomError as error:
                self.warn(error, time.time())

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def devices_changed(self) -> None:
        """Compute anew what is open: a device came or went."""
        self._set(self._with_effective(self.state.value))

    # ---- state, and what follows from it

    def _media_changed(self, phase: MediaPhase, _reason: str) -> None:
        state = self.state.value
        if state.phase is CallPhase.LEFT:
            return
        self._change(media=phase)
        if phase is MediaPhase.CONNECTED:
            self._apply_volumes()

    def _path_changed(self, path: MediaPath) -> None:
        if self.state.value.phase is not CallPhase.LEFT and path != self.state.value.path:
            self._change(path=path)

    def _apply_volumes(self) -> None:
        """Numbers are given anew when a server was restarted: nobody inherits the volume of somebody else."""
        wanted = {number: self.volumes.of(user).effective for number, user in self._people.items()}
        changed = {number for number, gain in wanted.items() if gain != 1.0}
        for number in changed | self._changed_numbers:
            self._playout.set_person_gain(self.cid, number, wanted.get(number, 1.0))
        self._changed_numbers = changed

    def _apply_audio(self) -> None:
        self.audio.acts(self._media.acting(self.audio.effective))
        self._media.configure(self.audio.effective, self.audio.live)
        state = self.state.value
        if (state.audio, state.live_audio) != (self.audio.effective, self.audio.live):
            self._change(audio=self.audio.effective, live_audio=self.audio.live)

    def _change(self, **fields: Any) -> None:
        self._set(replace(self.state.value, **fields))

    def _set(self, state: CallState) -> None:
        before = self.state.value
        if state is before:
            return
        state = self._with_effective(state)
        self._media.set_microphone(state.microphone.open)
        self.state.set(state)
        self._owner.call_changed(self.cid, state)
        self.life.call_changed(before, state, time.time())
        if state.room is not before.room and (people := people_by_number(state.room)) != self._people:
            self._people = people
            self._apply_volumes()
        if state.room is not None and self.audio.room_changed(state.room.settings.audio):
            self._apply_audio()
        self._reconcile(state)
        if state.room is not before.room:
            self._media.follow_room(state.room, state.me)

    def _with_lines(self, state: CallState) -> CallState:
        """Return `state` with how good everybody's line is now."""
        lines = self._lines.all({} if state.room is None else state.room.participants)
        if lines == state.lines:
            return state
        return replace(state, lines=lines, quality={user: line.quality for user, line in lines.items()})

    def _with_effective(self, state: CallState) -> CallState:
        """Return `state` with what is really open of microphone and hearing."""
        phase = CallPhase.JOINED if state.phase is CallPhase.RECONNECTING else state.phase
        no_speaker = self._owner.speaker_missing()
        no_microphone = "" if self._brings_sound else self._owner.microphone_missing()
        microphone = effective_microphone(
            state.microphone.wish,
            state.room,
            state.me,
            phase=phase,
            media=state.media,
            share=state.share,
            device=not no_microphone,
            device_reason=no_microphone,
        )
        hearing = effective_hearing(
            state.share, phase=phase, media=state.media, device=not no_speaker, device_reason=no_speaker
        )
        if (microphone, hearing) == (state.microphone, state.hearing):
            return state
        return replace(state, microphone=microphone, hearing=hearing)

    def _reconcile(self, state: CallState) -> None:
        """Tell the room our wish when it believes another one, e.g. after we had to join again."""
        myself = state.myself
        if state.phase is not CallPhase.JOINED or myself is None or state.room is None:
            return
        if self._suspension.due(myself.suspended):
            self.spawn(self.tell_suspension())
        wish = state.microphone.wish
        if (
            myself.microphone == wish
            or self._told == wish
            or (wish and not may(state.room, state.me, Capability.SEND_AUDIO))
        ):
            return
        self._told = wish
        self.spawn(self._tell_microphone())


def _beginning(cid: Cid, me: UserId, settings: CallSettings) -> CallState:
    view = CallView() if settings is JOINED_WITHOUT_SETTINGS else first_view(settings)
    return CallState(cid=cid, me=me, settings=settings, view=view)


def _with_volumes(state: CallState, volumes: Volumes) -> CallState:
    """Return `state` with how loud people are for us."""
    gains = {user: one.gain for user, one in volumes.people.items() if one.gain != 1.0}
    muted = frozenset(user for user, one in volumes.people.items() if one.muted)
    return replace(state, volumes=gains, muted_for_me=muted)


def _elsewhere(share: Share) -> bool:
    """Whether the others should see that our sound is with another call."""
    return share.suspended or not share.microphone
