"""Which session events follow from what changed: functions of values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from greenroom.protocol.events import (
    CameraChanged,
    Event,
    GrantsChanged,
    HandLowered,
    HandRaised,
    MemberRemoved,
    MemberSet,
    MicrophoneChanged,
    ParticipantJoined,
    ParticipantLeft,
    PermissionsChanged,
    RecordingChanged,
    RoomEnded,
)
from greenroom.protocol.evolve import evolve
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.room import Room, hand_position
from greenroom.state.call import CallPhase, CallState
from greenroom.state.idle import IdlePhase
from greenroom.state.session_events import (
    CallEnded,
    ConnectionLost,
    ConnectionRestored,
    DominantSpeakerChanged,
    LayoutChanged,
    PictureInPictureChanged,
    PinsChanged,
    RecordingToggled,
    SessionEvent,
    SessionJoined,
    SessionLeft,
    SessionPrompted,
    SwitchedToVideo,
    UserJoined,
    UserLeft,
    UserListChanged,
    UserLoweredHand,
    UserMuted,
    UserRaisedHand,
    UserUnmuted,
)

_HERE = (CallPhase.JOINED, CallPhase.RECONNECTING)


def room_changes(
    cid: Cid, before: Room | None, events: Sequence[Event], after: Room | None, at: float
) -> tuple[SessionEvent, ...]:
    """Return what happened to the people of a room. Without `events` the room came as a snapshot: then it is what is
    different, and those who are there at first did not join. A public replica is meant, so whoever is only counted
    is not told."""
    if after is None:
        return ()
    changes: list[SessionEvent] = []
    if events:
        room = before
        for event in events:
            changes += _from_event(cid, room, event, at)
            room = evolve(room, event)
    elif before is not None:
        changes += _from_snapshot(cid, before, after, at)
    people = tuple(after.participants)
    if before is None or tuple(before.participants) != people:
        changes.append(UserListChanged(cid, at, people))
    return tuple(changes)


def call_changes(before: CallState, after: CallState, at: float) -> tuple[SessionEvent, ...]:
    """Return what happened to our side of a call."""
    return tuple(_from_call(before, after, at))


def _from_event(cid: Cid, room: Room | None, event: Event, at: float) -> Iterator[SessionEvent]:
    match event:
        case ParticipantJoined(person) if room is None or person.user not in room.participants:
            yield UserJoined(cid, at, person.user, person.name)
        case ParticipantLeft(user, reason) if room is not None and user in room.participants:
            yield UserLeft(cid, at, user, room.participants[user].name, reason)
        case RoomEnded(_, by):
            yield CallEnded(cid, at, by)
        case MicrophoneChanged(user, on, by) if _microphone(room, user) is (not on):
            yield UserUnmuted(cid, at, user) if on else UserMuted(cid, at, user, by)
        case HandRaised(hand):
            after = evolve(room, event)
            place = None if after is None else hand_position(after, hand.user)
            yield UserRaisedHand(cid, at, hand.user, hand.name, place or 1)
        case HandLowered(user, outcome):
            yield UserLoweredHand(cid, at, user, outcome)
        case CameraChanged(user, True) if room is not None and not _cameras(room):
            yield SwitchedToVideo(cid, at, user)
        case RecordingChanged(on, by):
            yield RecordingToggled(cid, at, on, by)
        case _:
            pass
    if room is not None:
        yield from _closed_without_a_word(cid, room, event, at)


def _closed_without_a_word(cid: Cid, room: Room, event: Event, at: float) -> Iterator[SessionEvent]:
    """Who may no longer speak has a closed microphone, and no event of its own says so."""
    if not isinstance(event, PermissionsChanged | MemberSet | MemberRemoved | GrantsChanged):
        return
    after = evolve(room, event)
    if after is None:
        return
    for user, person in after.participants.items():
        was = room.participants.get(user)
        if was is not person and was is not None and was.microphone and not person.microphone:
            yield UserMuted(cid, at, user, event.by)


def _from_snapshot(cid: Cid, before: Room, after: Room, at: float) -> Iterator[SessionEvent]:
    was, now = before.participants, after.participants
    for user, person in was.items():
        if user not in now:
            yield UserLeft(cid, at, user, person.name)
    for user, person in now.items():
        if user not in was:
            yield UserJoined(cid, at, user, person.name)
        elif was[user].microphone != person.microphone:
            yield (
                UserUnmuted(cid, at, user) if person.microphone else UserMuted(cid, at, user, person.muted_by)
            )
    hands_before, hands_after = {hand.user for hand in before.hands}, {hand.user for hand in after.hands}
    for hand in before.hands:
        if hand.user not in hands_after:
            yield UserLoweredHand(cid, at, hand.user)
    for place, hand in enumerate(after.hands, 1):
        if hand.user not in hands_before:
            yield UserRaisedHand(cid, at, hand.user, hand.name, place)
    if before.recording != after.recording:
        yield RecordingToggled(cid, at, after.recording)


def _from_call(before: CallState, after: CallState, at: float) -> Iterator[SessionEvent]:
    cid = after.cid
    if before.phase is not after.phase:
        match before.phase, after.phase:
            case _, CallPhase.LEFT:
                yield SessionLeft(cid, at, after.left_reason)
            case CallPhase.RECONNECTING, CallPhase.JOINED:
                yield ConnectionRestored(cid, at)
            case _, CallPhase.RECONNECTING:
                yield ConnectionLost(cid, at)
            case _, CallPhase.JOINED:
                yield SessionJoined(cid, at)
    if before.dominant != after.dominant and after.phase in _HERE:
        yield DominantSpeakerChanged(cid, at, after.dominant)
    if before.view is not after.view:
        if before.view.layout is not after.view.layout:
            yield LayoutChanged(cid, at, after.view.layout)
        if before.view.pins != after.view.pins:
            yield PinsChanged(cid, at, after.view.pins)
        if before.view.picture_in_picture is not after.view.picture_in_picture:
            yield PictureInPictureChanged(cid, at, after.view.picture_in_picture)
    ends_at = after.idle.ends_at
    if (
        after.idle.phase is IdlePhase.PROMPTING
        and before.idle.phase is not IdlePhase.PROMPTING
        and ends_at is not None
    ):
        yield SessionPrompted(cid, at, ends_at)


def _microphone(room: Room | None, user: UserId) -> bool | None:
    person = None if room is None else room.participants.get(user)
    return None if person is None else person.microphone


def _cameras(room: Room) -> bool:
    return any(person.camera for person in room.participants.values())
