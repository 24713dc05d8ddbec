"""Random rooms: actors, requests, and the events that follow."""

from __future__ import annotations

from hypothesis import strategies as st

from greenroom.protocol.deciding import Actor
from greenroom.protocol.ids import ADMIN, ANONYMOUS, GUEST, HOST, MODERATOR, SPEAKER, USER, MessageId, UserId
from greenroom.protocol.permissions import Capability
from greenroom.protocol.requests import (
    AcceptInvitation,
    BlockUser,
    DeclineInvitation,
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
    LowerAllHands,
    Mute,
    MuteAll,
    NextHand,
    PostMessage,
    RaiseHand,
    RemoveMember,
    Request,
    Revoke,
    SetGrants,
    SetMicrophone,
    SetRole,
    SetSuspended,
    StopLive,
    UnblockUser,
    UpdateRoom,
    WithdrawHand,
)

NAMES = ["ann", "bo", "cy", "di", "eve"]
users = st.sampled_from([UserId(name) for name in NAMES])
actors = st.builds(
    lambda user, role: Actor(user, user.title(), role),
    users,
    st.sampled_from([USER, USER, USER, GUEST, ANONYMOUS, ADMIN]),
)
capability_sets = st.frozensets(st.sampled_from(list(Capability)), max_size=4) | st.just(
    frozenset({Capability.SEND_AUDIO})
)
roles = st.sampled_from([USER, SPEAKER, MODERATOR, HOST, ADMIN])
message_ids = st.sampled_from([MessageId(str(number)) for number in range(1, 12)])

requests: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from(
        [
            GetOrCreate(),
            Join(),
            Join(),
            Join(),
            Leave(),
            GoLive(),
            GoLive(),
            StopLive(),
            RaiseHand(),
            RaiseHand(),
            WithdrawHand(),
            NextHand(),
            LowerAllHands(),
            AcceptInvitation(),
            DeclineInvitation(),
            MuteAll(),
        ]
    ),
    st.builds(SetMicrophone, st.booleans()),
    st.builds(SetSuspended, st.booleans()),
    *(
        st.builds(kind, users)
        for kind in (GrantHand, DenyHand, InviteToStage, Mute, Kick, BlockUser, UnblockUser, RemoveMember)
    ),
    st.builds(Grant, users, capability_sets),
    st.builds(Revoke, users, capability_sets),
    st.builds(SetRole, users, roles),
    st.builds(
        SetGrants, st.dictionaries(st.sampled_from([USER, SPEAKER, GUEST]), capability_sets, max_size=2)
    ),
    st.builds(PostMessage, st.text(max_size=20)),
    st.builds(EditMessage, message_ids, st.text(max_size=20)),
    st.builds(DeleteMessage, message_ids),
    st.builds(UpdateRoom, title=st.text(max_size=10) | st.none()),
)
rare_requests = st.one_of(requests, requests, requests, st.just(End()))
steps = st.lists(st.tuples(actors, rare_requests), max_size=60)
