"""What a room allows whom, and the reasons it gives."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from greenroom.protocol.call_types import HandPolicy, Settings
from greenroom.protocol.decide import decide
from greenroom.protocol.deciding import Accepted, Actor, Facts
from greenroom.protocol.events import HandLowered, MicrophoneChanged, ParticipantLeft
from greenroom.protocol.evolve import fold
from greenroom.protocol.ids import (
    ADMIN,
    ANONYMOUS,
    GUEST,
    HOST,
    MODERATOR,
    SPEAKER,
    Cid,
    MessageId,
    Role,
    UserId,
)
from greenroom.protocol.permissions import Capability
from greenroom.protocol.refusals import Reason, Refusal
from greenroom.protocol.requests import (
    AcceptInvitation,
    BlockUser,
    DeleteMessage,
    DenyHand,
    EditMessage,
    End,
    GetOrCreate,
    GoLive,
    Grant,
    GrantHand,
    InviteToStage,
    Join,
    Kick,
    Leave,
    Mute,
    MuteAll,
    NewMember,
    NextHand,
    PostMessage,
    RaiseHand,
    Request,
    Revoke,
    SetCamera,
    SetMicrophone,
    SetRole,
    StopLive,
    UpdateRoom,
)
from greenroom.protocol.room import HandOutcome, LeaveReason, Room, audible, hand_position, may

CID = Cid("audio_room:standup")
HOSTESS = Actor(UserId("hana"), "Hana")
ANN, BO, CY = (Actor(UserId(name), name.title()) for name in ("ann", "bo", "cy"))
ROOT = Actor(UserId("root"), "Root", ADMIN)
SPEAK = frozenset({Capability.SEND_AUDIO})


def play(*steps: tuple[Actor, Request], cid: Cid = CID, room: Room | None = None) -> Room:
    """Return the room after `steps`, each of which must be accepted."""
    for moment, (who, request) in enumerate(steps):
        decision = decide(room, cid, who, request, float(moment), Facts(message_id=MessageId(f"m{moment}")))
        assert isinstance(decision, Accepted), (who.user, request, decision)
        room = fold(room, decision.events)
    assert room is not None
    return room


def live_room(*people: Actor) -> Room:
    return play(
        (HOSTESS, GetOrCreate(title="Stand-up")),
        (HOSTESS, Join()),
        (HOSTESS, GoLive()),
        *((who, Join()) for who in people),
    )


def refusal(room: Room | None, who: Actor, request: Request, cid: Cid = CID, now: float = 100.0) -> Refusal:
    decision = decide(room, cid, who, request, now)
    assert isinstance(decision, Refusal), decision
    return decision


def test_who_creates_a_room_is_its_host_and_may_speak() -> None:
    room = live_room()
    assert room.members[HOSTESS.user].role == HOST
    assert may(room, HOSTESS.user, Capability.SEND_AUDIO)


def test_a_listener_may_not_speak_and_is_told_what_is_missing_and_how_to_ask() -> None:
    refused = refusal(live_room(ANN), ANN, SetMicrophone(True))
    assert (refused.reason, refused.missing, refused.requestable) == (
        Reason.MISSING_CAPABILITY,
        Capability.SEND_AUDIO,
        True,
    )


def test_a_livestream_takes_no_raised_hands() -> None:
    cid = Cid("livestream:talk")
    room = play((HOSTESS, GetOrCreate()), (HOSTESS, Join()), (HOSTESS, GoLive()), (ANN, Join()), cid=cid)
    assert refusal(room, ANN, RaiseHand(), cid).reason is Reason.NOT_REQUESTABLE
    assert refusal(room, ANN, SetMicrophone(True), cid).requestable is False


def test_a_backstage_room_and_a_missing_one_answer_alike() -> None:
    backstage = play((HOSTESS, GetOrCreate()), (HOSTESS, Join()))
    assert refusal(backstage, ANN, Join()) == refusal(None, ANN, Join())
    assert refusal(backstage, ANN, RaiseHand()) == refusal(None, ANN, RaiseHand())


def test_a_private_room_admits_its_members_and_nobody_else() -> None:
    room = play(
        (HOSTESS, GetOrCreate(private=True, backstage=False, members=(NewMember(ANN.user, SPEAKER),)))
    )
    room = play((HOSTESS, GoLive()), (ANN, Join()), room=room)
    assert refusal(room, BO, Join()) == refusal(None, BO, Join())


def test_people_may_come_ahead_of_the_start_by_as_much_as_the_settings_say() -> None:
    room = play((HOSTESS, GetOrCreate(starts_at=1000.0)))
    ahead = play((HOSTESS, UpdateRoom(settings=with_join_ahead(room, 60.0))), room=room)
    assert refusal(ahead, ANN, Join(), now=900.0).reason is Reason.NOT_FOUND
    assert isinstance(decide(ahead, CID, ANN, Join(), 950.0), Accepted)


def with_join_ahead(room: Room, seconds: float) -> Settings:
    return replace(room.settings, join_ahead_seconds=seconds)


def test_stopping_live_sends_the_audience_out_and_keeps_the_hosts() -> None:
    room = play((HOSTESS, StopLive()), room=live_room(ANN, BO))
    assert set(room.participants) == {HOSTESS.user}


def test_hands_queue_in_order_with_one_entry_a_person() -> None:
    room = play((BO, RaiseHand()), (ANN, RaiseHand()), (BO, RaiseHand()), room=live_room(ANN, BO))
    assert [hand.user for hand in room.hands] == [BO.user, ANN.user]
    assert hand_position(room, ANN.user) == 2


def test_a_granted_hand_may_speak_and_a_second_host_is_told_it_was_answered() -> None:
    room = play((ANN, RaiseHand()), (HOSTESS, GrantHand(ANN.user)), room=live_room(ANN))
    assert may(room, ANN.user, Capability.SEND_AUDIO)
    assert room.hands == ()
    assert refusal(room, HOSTESS, GrantHand(ANN.user)).reason is Reason.ALREADY


def test_a_denied_hand_goes_down_and_says_who_denied_it() -> None:
    room = play((ANN, RaiseHand()), room=live_room(ANN))
    decision = decide(room, CID, HOSTESS, DenyHand(ANN.user), 9.0)
    assert decision == Accepted((HandLowered(ANN.user, HandOutcome.DENIED, HOSTESS.user),))


def test_leaving_takes_the_hand_down() -> None:
    room = play((ANN, RaiseHand()), (ANN, Leave()), room=live_room(ANN))
    assert room.hands == ()


@pytest.mark.parametrize(
    "promotion",
    [
        pytest.param(Grant(ANN.user, SPEAK), id="by a grant"),
        pytest.param(SetRole(ANN.user, SPEAKER), id="by a role"),
        pytest.param(InviteToStage(ANN.user), id="by an invitation, which a raised hand has answered"),
    ],
)
def test_a_hand_goes_down_when_its_owner_is_promoted_otherwise(promotion: Request) -> None:
    room = play((ANN, RaiseHand()), (HOSTESS, promotion), room=live_room(ANN))
    assert room.hands == ()
    assert may(room, ANN.user, Capability.SEND_AUDIO)


@pytest.mark.parametrize(
    ("policy", "talked", "turn"),
    [
        pytest.param(HandPolicy.FIRST_COME, {}, ANN, id="first come, first served"),
        pytest.param(
            HandPolicy.LEAST_TALKED, {"ann": 60.0, "bo": 5.0, "cy": 9.0}, BO, id="least talked first"
        ),
        pytest.param(HandPolicy.ROUND_ROBIN, {}, BO, id="who had fewest turns first"),
    ],
)
def test_next_follows_the_policy_of_the_queue(
    policy: HandPolicy, talked: dict[str, float], turn: Actor
) -> None:
    room = play(
        (ANN, RaiseHand()),
        (HOSTESS, GrantHand(ANN.user)),
        (HOSTESS, Revoke(ANN.user, SPEAK)),
        *((who, RaiseHand()) for who in (ANN, BO, CY)),
        (HOSTESS, UpdateRoom(hand_policy=policy)),
        room=live_room(ANN, BO, CY),
    )
    facts = Facts(talked_seconds={UserId(name): seconds for name, seconds in talked.items()})
    decision = decide(room, CID, HOSTESS, NextHand(), 50.0, facts)
    assert isinstance(decision, Accepted)
    after = fold(room, decision.events)
    assert after is not None
    assert may(after, turn.user, Capability.SEND_AUDIO)


def test_an_invitation_needs_an_answer_before_the_stage_opens() -> None:
    invited = play((HOSTESS, InviteToStage(ANN.user)), room=live_room(ANN))
    assert not may(invited, ANN.user, Capability.SEND_AUDIO)
    accepted = play((ANN, AcceptInvitation()), room=invited)
    assert may(accepted, ANN.user, Capability.SEND_AUDIO)
    assert accepted.invitations == {}


def test_a_revoke_closes_the_microphone_at_once_and_a_new_grant_does_not_open_it() -> None:
    room = play(
        (HOSTESS, Grant(ANN.user, SPEAK)),
        (ANN, SetMicrophone(True)),
        (HOSTESS, Revoke(ANN.user, SPEAK)),
        room=live_room(ANN),
    )
    assert not audible(room, ANN.user)
    assert not audible(play((HOSTESS, Grant(ANN.user, SPEAK)), room=room), ANN.user)


def test_mute_all_closes_every_microphone_but_ones_own_and_names_who_did_it() -> None:
    room = play(
        (HOSTESS, SetMicrophone(True)),
        (HOSTESS, Grant(ANN.user, SPEAK)),
        (ANN, SetMicrophone(True)),
        (HOSTESS, MuteAll()),
        room=live_room(ANN),
    )
    assert room.participants[HOSTESS.user].microphone
    assert not room.participants[ANN.user].microphone
    assert room.participants[ANN.user].muted_by == HOSTESS.user
    assert audible(play((ANN, SetMicrophone(True)), room=room), ANN.user)


def test_anybody_may_mute_themselves() -> None:
    room = play((HOSTESS, Grant(ANN.user, SPEAK)), (ANN, SetMicrophone(True)), room=live_room(ANN))
    assert decide(room, CID, ANN, Mute(ANN.user), 9.0) == Accepted(
        (MicrophoneChanged(ANN.user, False, None),)
    )


def test_a_blocked_person_is_out_and_stays_out() -> None:
    room = live_room(ANN)
    decision = decide(room, CID, HOSTESS, BlockUser(ANN.user), 9.0)
    assert isinstance(decision, Accepted)
    assert ParticipantLeft(ANN.user, LeaveReason.BLOCKED, HOSTESS.user) in decision.events
    assert refusal(fold(room, decision.events), ANN, Join()).reason is Reason.NOT_FOUND


def test_nobody_acts_against_a_higher_role() -> None:
    room = play((HOSTESS, SetRole(ANN.user, MODERATOR)), room=live_room(ANN, BO))
    assert refusal(room, ANN, Kick(HOSTESS.user)).reason is Reason.INVALID
    assert isinstance(decide(room, CID, ANN, Kick(BO.user), 9.0), Accepted)


def test_only_an_admin_makes_an_admin() -> None:
    room = live_room(ANN)
    assert refusal(room, HOSTESS, SetRole(ANN.user, ADMIN)).reason is Reason.INVALID
    assert isinstance(decide(room, CID, ROOT, SetRole(ANN.user, ADMIN), 9.0), Accepted)


def test_nobody_gives_away_what_they_do_not_have() -> None:
    room = play(
        (HOSTESS, Grant(ANN.user, frozenset({Capability.UPDATE_PERMISSIONS}))), room=live_room(ANN, BO)
    )
    assert refusal(room, ANN, Grant(BO.user, frozenset({Capability.END}))).reason is Reason.INVALID


@pytest.mark.parametrize(
    ("request_", "capability"),
    [
        (GrantHand(BO.user), Capability.UPDATE_PERMISSIONS),
        (Mute(BO.user), Capability.MUTE),
        (Kick(BO.user), Capability.KICK),
        (BlockUser(BO.user), Capability.BLOCK),
        (End(), Capability.END),
        (GoLive(), Capability.UPDATE),
        (SetRole(BO.user, SPEAKER), Capability.UPDATE_MEMBER),
        (UpdateRoom(title="mine"), Capability.UPDATE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_listener_is_refused_with_the_name_of_the_capability(
    request_: Request, capability: Capability
) -> None:
    assert refusal(live_room(ANN, BO), ANN, request_).missing is capability


@pytest.mark.parametrize("role", [GUEST, ANONYMOUS])
def test_guests_and_listeners_without_a_name_create_no_rooms(role: Role) -> None:
    decision = decide(None, CID, Actor(UserId("g"), "G", role), GetOrCreate(), 1.0)
    assert isinstance(decision, Refusal)


def test_someone_anonymous_listens_and_does_not_write() -> None:
    nobody = Actor(UserId("anon-1"), "", ANONYMOUS)
    assert refusal(live_room(nobody), nobody, PostMessage("hello")).missing is Capability.CHAT
    assert refusal(live_room(nobody), nobody, RaiseHand()).reason is Reason.NOT_REQUESTABLE


def test_a_misspelt_call_type_is_refused_with_the_ones_there_are() -> None:
    refused = refusal(None, ANN, GetOrCreate(), Cid("audio_rom:x"))
    assert "audio_room" in refused.message


def test_messages_are_edited_by_their_author_and_deleted_by_moderators_too() -> None:
    room = play((ANN, PostMessage("helo")), room=live_room(ANN, BO))
    id_ = room.chat[0].id
    assert refusal(room, BO, EditMessage(id_, "mine")).reason is Reason.INVALID
    assert refusal(room, BO, DeleteMessage(id_)).missing is Capability.MODERATE_CHAT
    edited = play((ANN, EditMessage(id_, "hello")), room=room)
    assert edited.chat[0].text == "hello"
    deleted = play((HOSTESS, DeleteMessage(id_)), room=edited)
    assert (deleted.chat[0].text, deleted.chat[0].deleted_by) == ("", HOSTESS.user)


def test_video_is_refused_as_not_available() -> None:
    assert refusal(live_room(ANN), ANN, SetCamera(True)).reason is Reason.NOT_AVAILABLE


def test_an_ended_room_takes_nobody_and_nothing() -> None:
    room = play((HOSTESS, End()), room=live_room(ANN))
    assert room.participants == {}
    assert refusal(room, BO, Join()).reason is Reason.ENDED
    assert refusal(room, HOSTESS, PostMessage("hello?")).reason is Reason.ENDED


def test_joining_twice_happens_once() -> None:
    assert decide(live_room(ANN), CID, ANN, Join(), 9.0) == Accepted(())
