"""Everything a person can do, in one table: keys, buttons, palettes, commands and help are made from it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.ids import MODERATOR, SPEAKER, MessageId, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    AcceptInvitation,
    BlockUser,
    DeclineInvitation,
    DeleteMessage,
    DenyHand,
    EditMessage,
    End,
    GoLive,
    Grant,
    GrantHand,
    InviteToStage,
    Kick,
    Leave,
    LowerAllHands,
    Mute,
    MuteAll,
    NextHand,
    PostMessage,
    RaiseHand,
    Request,
    Revoke,
    SetMicrophone,
    SetRole,
    StartRing,
    StopLive,
    UnblockUser,
    UpdateRoom,
    WithdrawHand,
)
from greenroom.protocol.room import Room, may
from greenroom.protocol.wire import Reaction, Signal
from greenroom.state.call import CallPhase, CallState
from greenroom.state.focus import HandOff
from greenroom.state.idle import IdlePhase
from greenroom.state.layout import next_layout
from greenroom.state.own_requests import OwnRequest, Pin, SetLayout, SetPictureInPicture, Stay, Unpin
from greenroom.views.knobs import knob_label, mute_turned, turned, volume_turned

Asked = Request | Signal | HandOff | OwnRequest
"""What an action makes: for the room, beside its log, or for our own engine."""

SPEAK = frozenset({Capability.SEND_AUDIO})
C = Capability


class Target(StrEnum):
    """What an action is about besides the room."""

    NOTHING = "nothing"
    HAND = "hand"
    PERSON = "person"
    MESSAGE = "message"
    TEXT = "text"
    EMOJI = "emoji"
    BLOCKED = "blocked"
    NAME = "name"
    """Somebody who is not here, by their user id."""


class Group(StrEnum):
    """Where help and palette show an action."""

    ME = "me"
    STAGE = "stage and hands"
    MODERATION = "moderation"
    ROOM = "room"
    CHAT = "chat"
    SOUND = "sound"
    VIEW = "how it looks to me"


class Chosen(msgspec.Struct, frozen=True):
    """What the person has selected or typed when an action is taken."""

    user: UserId | None = None
    message: MessageId | None = None
    text: str = ""


class Action(msgspec.Struct, frozen=True):
    """One row of the table.

    `key` is one character. `available(call, user)` tells whether it makes sense
    now, with `user` the selected person for those that are about one. `build` makes what is asked for; None when what was
    chosen is not enough.
    """

    id: str
    key: str
    label: str
    help: str
    group: Group
    available: Callable[[CallState, UserId | None], bool]
    build: Callable[[CallState, Chosen], Asked | None]
    target: Target = Target.NOTHING
    confirm: bool = False


def _in(call: CallState) -> Room | None:
    return call.room if call.phase is CallPhase.JOINED and call.myself is not None else None


def _can(call: CallState, capability: Capability) -> bool:
    return _in(call) is not None and capability in call.capabilities


def _needs(capability: Capability) -> Callable[[CallState, UserId | None], bool]:
    return lambda call, _user: _can(call, capability)


def _hand_up(call: CallState, user: UserId | None) -> bool:
    room = _in(call)
    hands = () if room is None else room.hands
    return _can(call, C.UPDATE_PERMISSIONS) and (
        bool(hands) if user is None else any(hand.user == user for hand in hands)
    )


def _other(
    capability: Capability, when: Callable[[Room, UserId], bool]
) -> Callable[[CallState, UserId | None], bool]:
    def available(call: CallState, user: UserId | None) -> bool:
        room = _in(call)
        return (
            room is not None
            and _can(call, capability)
            and user is not None
            and user != call.me
            and user in room.participants
            and when(room, user)
        )

    return available


def _speaks(room: Room, user: UserId) -> bool:
    return may(room, user, C.SEND_AUDIO)


def _listens(room: Room, user: UserId) -> bool:
    return not _speaks(room, user)


def _microphone(call: CallState, _chosen: Chosen) -> Request:
    return SetMicrophone(not call.microphone.wish)


def _hand(call: CallState, _chosen: Chosen) -> Request:
    return RaiseHand() if call.hand_position is None else WithdrawHand()


def _live(call: CallState, _chosen: Chosen) -> Request:
    return StopLive() if call.room is not None and call.room.live else GoLive()


def _queue_policy(call: CallState, _chosen: Chosen) -> Request | None:
    if call.room is None:
        return None
    policies = list(HandPolicy)
    now = policies.index(call.room.settings.hand_policy)
    return UpdateRoom(hand_policy=policies[(now + 1) % len(policies)])


def _about(make: Callable[[UserId], Request]) -> Callable[[CallState, Chosen], Asked | None]:
    return lambda _call, chosen: None if chosen.user is None else make(chosen.user)


def _pin(call: CallState, chosen: Chosen) -> Asked | None:
    if chosen.user is None:
        return None
    return Unpin(chosen.user) if chosen.user in call.view.pins else Pin(chosen.user)


def _can_pin(call: CallState, user: UserId | None) -> bool:
    room = _in(call)
    return room is not None and user is not None and (user in call.view.pins or _speaks(room, user))


def _has_sound(call: CallState, _user: UserId | None) -> bool:
    return _in(call) is not None and call.audio is not None


def _can_be_heard(call: CallState, user: UserId | None) -> bool:
    room = _in(call)
    return (
        room is not None
        and user is not None
        and user != call.me
        and user in room.participants
        and (_speaks(room, user) or user in call.volumes or user in call.muted_for_me)
    )


def _knob(id: str, key: str, name: str, label: str, help: str, steps: int = 1) -> Action:
    """Return the action that turns a value of a call's sound by `steps`."""
    return Action(
        id, key, label, help, Group.SOUND, _has_sound, lambda call, _chosen: turned(call, name, steps)
    )


def _call_in(_call: CallState, chosen: Chosen) -> Request | None:
    return None if not chosen.user else StartRing((chosen.user,), keep_room=True)


def _can_raise(call: CallState, _user: UserId | None) -> bool:
    room = _in(call)
    if room is None:
        return False
    return call.hand_position is not None or (
        room.settings.audio.access_request and not _can(call, C.SEND_AUDIO)
    )


def _blocked(call: CallState, user: UserId | None) -> bool:
    room = _in(call)
    return (
        room is not None
        and _can(call, C.BLOCK)
        and (bool(room.blocked) if user is None else user in room.blocked)
    )


def _own_message(call: CallState, _user: UserId | None) -> bool:
    return _can(call, C.CHAT) and _written(call, by_anybody=False)


def _any_message(call: CallState, user: UserId | None) -> bool:
    return _own_message(call, user) or (_can(call, C.MODERATE_CHAT) and _written(call, by_anybody=True))


def _written(call: CallState, *, by_anybody: bool) -> bool:
    chat = () if call.room is None else call.room.chat
    return any(message.deleted_by is None and (by_anybody or message.user == call.me) for message in chat)


ACTIONS: tuple[Action, ...] = (
    Action(
        "microphone",
        "m",
        "Microphone",
        "Open or close my microphone",
        Group.ME,
        _needs(C.SEND_AUDIO),
        _microphone,
    ),
    Action("hand", "r", "Raise hand", "Raise my hand to speak, or take it down", Group.ME, _can_raise, _hand),
    Action(
        "accept",
        "y",
        "Accept the stage",
        "Accept an invitation to the stage",
        Group.ME,
        lambda call, _user: call.invited,
        lambda _call, _chosen: AcceptInvitation(),
    ),
    Action(
        "decline",
        "x",
        "Decline the stage",
        "Decline an invitation to the stage",
        Group.ME,
        lambda call, _user: call.invited,
        lambda _call, _chosen: DeclineInvitation(),
    ),
    Action(
        "leave",
        "l",
        "Leave",
        "Leave this room; it goes on without me",
        Group.ME,
        lambda call, _user: _in(call) is not None,
        lambda _call, _chosen: Leave(),
    ),
    Action(
        "next",
        "n",
        "Next hand",
        "Give the stage to the hand whose turn it is",
        Group.STAGE,
        lambda call, _user: _hand_up(call, None),
        lambda _call, _chosen: NextHand(),
    ),
    Action(
        "grant",
        "g",
        "Grant hand",
        "Give the stage to the selected hand",
        Group.STAGE,
        _hand_up,
        _about(GrantHand),
        Target.HAND,
    ),
    Action(
        "deny",
        "d",
        "Deny hand",
        "Turn the selected hand down; its owner is told",
        Group.STAGE,
        _hand_up,
        _about(DenyHand),
        Target.HAND,
    ),
    Action(
        "lower_all",
        "L",
        "Lower all hands",
        "Empty the queue of hands",
        Group.STAGE,
        lambda call, _user: _hand_up(call, None),
        lambda _call, _chosen: LowerAllHands(),
        confirm=True,
    ),
    Action(
        "queue_policy",
        "o",
        "Queue order",
        "Change whose turn is next: first come, least talked, round robin",
        Group.STAGE,
        _needs(C.UPDATE_SETTINGS),
        _queue_policy,
    ),
    Action(
        "invite",
        "i",
        "Invite to stage",
        "Invite the selected listener to the stage",
        Group.STAGE,
        _other(C.UPDATE_PERMISSIONS, _listens),
        _about(InviteToStage),
        Target.PERSON,
    ),
    Action(
        "allow",
        "a",
        "Let speak",
        "Let the selected listener speak without asking them",
        Group.STAGE,
        _other(C.UPDATE_PERMISSIONS, _listens),
        _about(lambda user: Grant(user, SPEAK)),
        Target.PERSON,
    ),
    Action(
        "revoke",
        "v",
        "Off the stage",
        "Take the selected speaker off the stage; their microphone closes at once",
        Group.STAGE,
        _other(C.UPDATE_PERMISSIONS, _speaks),
        _about(lambda user: Revoke(user, SPEAK)),
        Target.PERSON,
    ),
    Action(
        "mute",
        "u",
        "Mute",
        "Close the selected speaker's microphone; they may open it again",
        Group.MODERATION,
        _other(C.MUTE, lambda room, user: room.participants[user].microphone),
        _about(Mute),
        Target.PERSON,
    ),
    Action(
        "mute_all",
        "M",
        "Mute all",
        "Close every microphone but mine",
        Group.MODERATION,
        _needs(C.MUTE),
        lambda _call, _chosen: MuteAll(),
        confirm=True,
    ),
    Action(
        "kick",
        "k",
        "Send out",
        "Send the selected person out; they may come back",
        Group.MODERATION,
        _other(C.KICK, lambda _room, _user: True),
        _about(Kick),
        Target.PERSON,
        confirm=True,
    ),
    Action(
        "block",
        "B",
        "Block",
        "Send the selected person out and keep them out",
        Group.MODERATION,
        _other(C.BLOCK, lambda _room, _user: True),
        _about(BlockUser),
        Target.PERSON,
        confirm=True,
    ),
    Action(
        "unblock",
        "b",
        "Unblock",
        "Let somebody who was blocked come back",
        Group.MODERATION,
        _blocked,
        _about(UnblockUser),
        Target.BLOCKED,
    ),
    Action(
        "make_speaker",
        "s",
        "Make speaker",
        "Make the selected person a speaker for good",
        Group.MODERATION,
        _other(C.UPDATE_MEMBER, lambda room, user: room.participants[user].role != SPEAKER),
        _about(lambda user: SetRole(user, SPEAKER)),
        Target.PERSON,
    ),
    Action(
        "make_moderator",
        "O",
        "Make moderator",
        "Make the selected person a moderator",
        Group.MODERATION,
        _other(C.UPDATE_MEMBER, lambda room, user: room.participants[user].role != MODERATOR),
        _about(lambda user: SetRole(user, MODERATOR)),
        Target.PERSON,
    ),
    Action(
        "live",
        "G",
        "Go live",
        "Let the audience in, or go backstage again",
        Group.ROOM,
        _needs(C.UPDATE),
        _live,
    ),
    Action(
        "end",
        "E",
        "End room",
        "End the room for everybody",
        Group.ROOM,
        _needs(C.END),
        lambda _call, _chosen: End(),
        confirm=True,
    ),
    Action(
        "call_in",
        "I",
        "Call somebody in",
        "Call somebody who is not here into this room",
        Group.ROOM,
        _needs(C.SEND_AUDIO),
        _call_in,
        Target.NAME,
    ),
    Action(
        "title",
        "t",
        "Title",
        "Change the room's title",
        Group.ROOM,
        _needs(C.UPDATE),
        lambda _call, chosen: UpdateRoom(title=chosen.text),
        Target.TEXT,
    ),
    Action(
        "react",
        "w",
        "React",
        "Send an emoji that everybody sees for a moment",
        Group.CHAT,
        _needs(C.REACT),
        lambda _call, chosen: Reaction(chosen.text) if chosen.text else None,
        Target.EMOJI,
    ),
    Action(
        "message",
        "c",
        "Write",
        "Write in the chat",
        Group.CHAT,
        _needs(C.CHAT),
        lambda _call, chosen: PostMessage(chosen.text) if chosen.text.strip() else None,
        Target.TEXT,
    ),
    Action(
        "edit_message",
        "e",
        "Edit message",
        "Change my last message",
        Group.CHAT,
        _own_message,
        lambda _call, chosen: None if chosen.message is None else EditMessage(chosen.message, chosen.text),
        Target.MESSAGE,
    ),
    Action(
        "delete_message",
        "D",
        "Delete message",
        "Delete a message of mine, or as a moderator anybody's",
        Group.CHAT,
        _any_message,
        lambda _call, chosen: None if chosen.message is None else DeleteMessage(chosen.message),
        Target.MESSAGE,
        confirm=True,
    ),
    Action(
        "louder",
        "+",
        "Louder",
        "Make the selected speaker louder, for me alone; remembered",
        Group.SOUND,
        _can_be_heard,
        lambda call, chosen: volume_turned(call, chosen.user, 1),
        Target.PERSON,
    ),
    Action(
        "softer",
        "-",
        "Softer",
        "Make the selected speaker softer, for me alone; remembered",
        Group.SOUND,
        _can_be_heard,
        lambda call, chosen: volume_turned(call, chosen.user, -1),
        Target.PERSON,
    ),
    Action(
        "silence",
        "z",
        "Mute for me",
        "Hear the selected speaker no more, or again, for me alone; remembered",
        Group.SOUND,
        _can_be_heard,
        lambda call, chosen: mute_turned(call, chosen.user),
        Target.PERSON,
    ),
    _knob("bitrate_up", "]", "bitrate", "Bitrate up", "Send with more bits: clearer, and more to lose"),
    _knob(
        "bitrate_down", "[", "bitrate", "Bitrate down", "Send with fewer bits, for a narrow line", steps=-1
    ),
    _knob("red", "R", "red_depth", "RED", "How many earlier packets each packet repeats, against loss"),
    _knob("fec", "F", "fec", "FEC", "Send a copy of each packet inside the next one, against loss"),
    _knob("dtx", "T", "dtx", "DTX", "Send nearly nothing while I am silent"),
    _knob(
        "expected_loss",
        "X",
        "expected_loss_percent",
        "Expected loss",
        "What Opus prepares for when it makes FEC",
    ),
    _knob("noise", "N", "noise_suppression", "Noise", "Take steady noise out of my microphone"),
    _knob("echo", "C", "echo_cancellation", "Echo cancelling", "Take out what my loudspeaker plays"),
    _knob("gain", "U", "gain_control", "Gain control", "Keep my voice at an even level"),
    Action(
        "stay",
        "S",
        "Stay",
        "Say that I am still here, before an unused session ends by itself",
        Group.VIEW,
        lambda call, _user: call.idle.phase is IdlePhase.PROMPTING,
        lambda _call, _chosen: Stay(),
    ),
    Action(
        "layout",
        "V",
        "Layout",
        "Arrange the stage: tiles, spotlight, sidebar, list",
        Group.VIEW,
        lambda call, _user: _in(call) is not None,
        lambda call, _chosen: SetLayout(next_layout(call.view.layout)),
    ),
    Action(
        "pin",
        "p",
        "Pin",
        "Keep the selected speaker first, for me alone, or no longer",
        Group.VIEW,
        _can_pin,
        _pin,
        Target.PERSON,
    ),
    Action(
        "small",
        "P",
        "Small view",
        "Show the call small, with who speaks, or whole again",
        Group.VIEW,
        lambda call, _user: _in(call) is not None,
        lambda call, _chosen: SetPictureInPicture(not call.view.picture_in_picture),
    ),
)

REACTIONS = ("👍", "❤️", "👏", "😂", "🎉", "🤔")
"""What faces offer for a reaction."""

BY_ID = {action.id: action for action in ACTIONS}
_KNOBS = {
    "red": "red_depth",
    "expected_loss": "expected_loss_percent",
    "noise": "noise_suppression",
    "fec": "fec",
    "dtx": "dtx",
    "echo": "echo_cancellation",
    "gain": "gain_control",
}


def label_of(action: Action, call: CallState) -> str:
    """Return the label as it reads now: a switch names what taking it would do."""
    match action.id:
        case "microphone":
            return "Close microphone" if call.microphone.wish else "Open microphone"
        case "hand":
            return "Raise hand" if call.hand_position is None else "Lower hand"
        case "live":
            return "Go backstage" if call.room is not None and call.room.live else "Go live"
        case "layout":
            return f"Layout: {next_layout(call.view.layout)}"
        case "red" | "expected_loss" | "noise" | "fec" | "dtx" | "echo" | "gain":
            return knob_label(call, _KNOBS[action.id], action.label)
        case "bitrate_up" | "bitrate_down":
            return knob_label(call, "bitrate", "Bitrate", 1 if action.id == "bitrate_up" else -1)
        case "small":
            return "Whole view" if call.view.picture_in_picture else "Small view"
        case _:
            return action.label


def available_actions(call: CallState, user: UserId | None = None) -> tuple[Action, ...]:
    """Return what makes sense now, with `user` selected."""
    return tuple(action for action in ACTIONS if action.available(call, user))
