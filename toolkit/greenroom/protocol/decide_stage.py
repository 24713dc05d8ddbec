"""Decisions about speaking: the microphone, the queue of hands, invitations to the stage."""

from __future__ import annotations

from greenroom.protocol.deciding import Accepted, Actor, Decision, Facts, missing, refuse
from greenroom.protocol.events import (
    HandLowered,
    HandRaised,
    InvitationEnded,
    InvitedToStage,
    MicrophoneChanged,
    PermissionsChanged,
    SuspensionChanged,
)
from greenroom.protocol.ids import ADMIN, ANONYMOUS, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.queue import next_hand
from greenroom.protocol.refusals import Reason
from greenroom.protocol.requests import (
    AcceptInvitation,
    DeclineInvitation,
    DenyHand,
    GrantHand,
    InviteToStage,
    LowerAllHands,
    NextHand,
    RaiseHand,
    Request,
    SetMicrophone,
    SetSuspended,
    WithdrawHand,
)
from greenroom.protocol.room import Hand, HandOutcome, Invitation, InvitationOutcome, Participant, Room, may

_SPEAK = frozenset({Capability.SEND_AUDIO})


def decide_stage(room: Room, who: Actor, request: Request, now: float, facts: Facts) -> Decision | None:
    """Return the answer to a request about speaking, or None when `request` is about something else."""
    match request:
        case (
            SetMicrophone()
            | SetSuspended()
            | RaiseHand()
            | WithdrawHand()
            | AcceptInvitation()
            | DeclineInvitation()
        ):
            me = room.participants.get(who.user)
            if me is None:
                return refuse(Reason.NOT_JOINED, "join the room first")
            return _own(room, me, request, now)
        case GrantHand() | DenyHand() | NextHand() | LowerAllHands() | InviteToStage():
            if who.role != ADMIN and not may(room, who.user, Capability.UPDATE_PERMISSIONS, who.role):
                return missing(room, Capability.UPDATE_PERMISSIONS, "decide who speaks")
            return _host(room, who, request, now, facts)
        case _:
            return None


def _own(room: Room, me: Participant, request: Request, now: float) -> Decision:
    match request:
        case SetMicrophone(on):
            if on and not may(room, me.user, Capability.SEND_AUDIO):
                return missing(room, Capability.SEND_AUDIO, "open your microphone")
            return Accepted(() if on == me.microphone else (MicrophoneChanged(me.user, on),))
        case SetSuspended(suspended):
            return Accepted(() if suspended == me.suspended else (SuspensionChanged(me.user, suspended),))
        case RaiseHand():
            return _raise(room, me, now)
        case WithdrawHand():
            up = _hand(room, me.user) is not None
            return Accepted((HandLowered(me.user, HandOutcome.WITHDRAWN),) if up else ())
        case AcceptInvitation():
            if me.user not in room.invitations:
                return refuse(Reason.NOT_FOUND, "there is no invitation to the stage for you any more")
            events = (
                PermissionsChanged(me.user, granted=_SPEAK, by=room.invitations[me.user].by),
                InvitationEnded(me.user, InvitationOutcome.ACCEPTED),
            )
            return Accepted(events)
        case _:  # DeclineInvitation
            invited = me.user in room.invitations
            return Accepted((InvitationEnded(me.user, InvitationOutcome.DECLINED),) if invited else ())


def _raise(room: Room, me: Participant, now: float) -> Decision:
    if may(room, me.user, Capability.SEND_AUDIO):
        return refuse(Reason.ALREADY, "you may speak already; open your microphone")
    if me.role == ANONYMOUS:
        return refuse(
            Reason.NOT_REQUESTABLE, "who comes without a name only listens; come in with a name to speak"
        )
    if not room.settings.audio.access_request:
        return refuse(Reason.NOT_REQUESTABLE, "raised hands are switched off in this room")
    if _hand(room, me.user) is not None:
        return Accepted(())
    if len(room.hands) >= room.settings.max_hands:
        return refuse(Reason.FULL, f"the queue is full: it holds {room.settings.max_hands} hands")
    return Accepted((HandRaised(Hand(me.user, me.name, now)),))


def _host(room: Room, who: Actor, request: Request, now: float, facts: Facts) -> Decision:
    match request:
        case GrantHand(user):
            if _hand(room, user) is None:
                return refuse(
                    Reason.ALREADY, "that hand is not up any more; another host may have answered it"
                )
            return _grant(user, who.user)
        case DenyHand(user):
            if _hand(room, user) is None:
                return refuse(
                    Reason.ALREADY, "that hand is not up any more; another host may have answered it"
                )
            return Accepted((HandLowered(user, HandOutcome.DENIED, who.user),))
        case NextHand():
            here = [hand for hand in room.hands if hand.user in room.participants]
            turn = next_hand(here, room.settings.hand_policy, facts.talked_seconds, room.turns)
            if turn is None:
                return refuse(Reason.NOT_FOUND, "no hand is up")
            return _grant(turn.user, who.user)
        case InviteToStage(user):
            return _invite(room, who, user, now)
        case _:  # LowerAllHands
            return Accepted(
                tuple(HandLowered(hand.user, HandOutcome.CLEARED, who.user) for hand in room.hands)
            )


def _invite(room: Room, who: Actor, user: UserId, now: float) -> Decision:
    if user not in room.participants:
        return refuse(Reason.NOT_FOUND, "that person is not in the room")
    if may(room, user, Capability.SEND_AUDIO):
        return refuse(Reason.ALREADY, "that person may speak already")
    if _hand(room, user) is not None:
        return _grant(user, who.user)  # they have asked; there is nothing left to accept
    if user in room.invitations:
        return Accepted(())
    return Accepted((InvitedToStage(Invitation(user, who.user, now)),))


def _grant(user: UserId, by: UserId) -> Accepted:
    return Accepted(
        (PermissionsChanged(user, granted=_SPEAK, by=by), HandLowered(user, HandOutcome.GRANTED, by)),
    )


def _hand(room: Room, user: UserId) -> Hand | None:
    return next((hand for hand in room.hands if hand.user == user), None)
