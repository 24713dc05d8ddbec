"""Our side of one room, as applications and screens use it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from greenroom.engine.membership import Membership
from greenroom.engine.session_methods import HERE, BlockingSessionMethods, SessionMethods
from greenroom.engine.stats import Stats
from greenroom.engine.thread import EngineThread, on_engine, twin
from greenroom.errors import Misuse
from greenroom.media.blocks import Block
from greenroom.observable import Observable
from greenroom.protocol.call_types import HandPolicy, Settings
from greenroom.protocol.ids import Cid, MessageId, Role, UserId
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
    StopLive,
    UnblockUser,
    UpdateRoom,
    WithdrawHand,
)
from greenroom.protocol.ringing import Ring
from greenroom.protocol.wire import CustomSignal, MessagesPage, PeoplePage, Reaction, Signal, Typing
from greenroom.state.audio import EffectiveAudio
from greenroom.state.call import CallPhase, CallState, MediaPhase
from greenroom.state.focus import HandOff, ResumeAudio, SetMultiCallPolicy, SuspendAudio, SwitchFocus
from greenroom.state.own_requests import OwnRequest
from greenroom.state.session_events import EndButtonPressed
from greenroom.state.statistics import CallStatistics
from greenroom.state.volumes import LOUDEST

if TYPE_CHECKING:
    from greenroom.engine.client import Client


class Call(SessionMethods):
    """One room we are in. Every `async` method may be awaited on any event loop; `blocking` has the same without `await`.

    Methods that ask the room for something raise `Refused`, which names the missing capability and whether it can be
    asked for by raising a hand, or `Unreachable`. What they change is seen in `state`.
    """

    def __init__(self, client: Client, membership: Membership) -> None:
        self._client = client
        self._membership = membership
        self.stats = Stats(membership.measurements, membership.state)
        self.blocking = BlockingCall(self)

    def __repr__(self) -> str:
        return f"<Call {self.cid} {self.state.value.phase}>"

    @property
    def engine(self) -> EngineThread:
        return self._client.engine

    @property
    def cid(self) -> Cid:
        return self._membership.cid

    @property
    def state(self) -> Observable[CallState]:
        """The call as one immutable value, observable from any thread."""
        return self._membership.state

    # ---- me

    @on_engine
    async def leave(self) -> None:
        """Go; the room goes on. Twice is quiet."""
        await self._client._core.leave(self._membership, None)

    @on_engine
    async def set_microphone(self, on: bool) -> None:
        """Open or close my microphone. Closing is heard at once, before the room has answered."""
        self._in_session()
        self._membership.life.acted()
        await self._membership.set_microphone(on)

    @on_engine
    async def suspend_audio(self) -> None:
        """Hear nothing of this call and say nothing in it, but stay; the others see it. Twice is quiet."""
        await self._client._core.director.suspend(self.cid)

    @on_engine
    async def resume_audio(self) -> None:
        """End the suspension; this call gets the microphone, unless calls are mixed and another one has it.

        Raises `Refused`, with everything as it was, if the room does not take us back.
        """
        await self._client._core.director.resume(self.cid)

    async def raise_hand(self) -> None:
        """Ask to speak."""
        await self.perform(RaiseHand())

    async def withdraw_hand(self) -> None:
        """Take my hand down."""
        await self.perform(WithdrawHand())

    async def accept(self) -> None:
        """Accept the invitation to the stage."""
        await self.perform(AcceptInvitation())

    async def decline(self) -> None:
        """Decline the invitation to the stage."""
        await self.perform(DeclineInvitation())

    # ---- the room

    async def go_live(self) -> None:
        """Let the audience in."""
        await self.perform(GoLive())

    async def stop_live(self) -> None:
        """Send the audience out and stay backstage."""
        await self.perform(StopLive())

    async def end(self) -> None:
        """End the room for everybody."""
        await self.perform(End())

    async def ring(self, members: Sequence[str] | str = ()) -> Ring:
        """Call more people into this room; without any named, every member who is not here."""
        return await self._client.ring(members, room=self.cid, join=False)

    async def update(
        self,
        *,
        title: str | None = None,
        starts_at: float | None = None,
        hand_policy: HandPolicy | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Change title, start (wall-clock seconds), queue policy or settings; what is None stays."""
        await self.perform(UpdateRoom(title, starts_at, hand_policy, settings))

    async def set_grants(self, grants: Mapping[Role, Collection[Capability]]) -> None:
        """Replace what these roles may do in this room."""
        await self.perform(SetGrants({role: frozenset(allowed) for role, allowed in grants.items()}))

    # ---- stage and hands

    async def grant_hand(self, user: str) -> None:
        """Let the owner of a raised hand speak."""
        await self.perform(GrantHand(UserId(user)))

    async def deny_hand(self, user: str) -> None:
        """Turn a raised hand down."""
        await self.perform(DenyHand(UserId(user)))

    async def next_hand(self) -> None:
        """Grant the hand whose turn it is."""
        await self.perform(NextHand())

    async def lower_all_hands(self) -> None:
        """Empty the queue of hands."""
        await self.perform(LowerAllHands())

    async def invite(self, user: str) -> None:
        """Offer the stage to somebody without a raised hand."""
        await self.perform(InviteToStage(UserId(user)))

    async def grant(self, user: str, *capabilities: Capability) -> None:
        """Give somebody capabilities beyond their role; without any named, permission to speak."""
        await self.perform(Grant(UserId(user), frozenset(capabilities or (Capability.SEND_AUDIO,))))

    async def revoke(self, user: str, *capabilities: Capability) -> None:
        """Take capabilities from somebody; without any named, permission to speak."""
        await self.perform(Revoke(UserId(user), frozenset(capabilities or (Capability.SEND_AUDIO,))))

    # ---- moderation

    async def mute(self, user: str) -> None:
        """Close somebody's microphone; they may open it again."""
        await self.perform(Mute(UserId(user)))

    async def mute_all(self) -> None:
        """Close every microphone but mine."""
        await self.perform(MuteAll())

    async def kick(self, user: str) -> None:
        """Send somebody out; they may come back."""
        await self.perform(Kick(UserId(user)))

    async def block(self, user: str) -> None:
        """Send somebody out and keep them out."""
        await self.perform(BlockUser(UserId(user)))

    async def unblock(self, user: str) -> None:
        """Let somebody who was blocked come back."""
        await self.perform(UnblockUser(UserId(user)))

    async def set_role(self, user: str, role: str, name: str = "") -> None:
        """Make somebody a member with a role, or change it."""
        await self.perform(SetRole(UserId(user), Role(role), name))

    async def remove_member(self, user: str) -> None:
        """Take somebody's role away; not a kick."""
        await self.perform(RemoveMember(UserId(user)))

    # ---- chat and signals

    async def post(self, text: str) -> None:
        """Say something in the chat."""
        await self.perform(PostMessage(text))

    async def edit_message(self, message: str, text: str) -> None:
        """Change one of my messages."""
        await self.perform(EditMessage(MessageId(message), text))

    async def delete_message(self, message: str) -> None:
        """Remove one of my messages, or as a moderator anybody's."""
        await self.perform(DeleteMessage(MessageId(message)))

    async def react(self, emoji: str) -> None:
        """Show an emoji to everybody; it may be lost."""
        await self.perform(Reaction(emoji))

    async def send_custom(self, name: str, /, **data: str | float | bool | None) -> None:
        """Tell everybody's application something, at most 4 kB; it may be lost."""
        await self.perform(CustomSignal(name, data))

    async def typing(self) -> None:
        """Show that I am writing; it fades by itself after 5 s."""
        await self.perform(Typing())

    def on_custom(self, heard: Callable[[UserId, str, CustomSignal], None]) -> Callable[[], None]:
        """Call `heard(user, name, signal)`, on the engine's thread, for each custom signal; return how to stop that."""
        custom = self._membership.custom
        custom.append(heard)
        return lambda: custom.remove(heard) if heard in custom else None

    # ---- anything

    @on_engine
    async def perform(self, request: Request | Signal | HandOff | OwnRequest) -> None:
        """Ask the room for `request`, send a signal, or ask our own engine; what a face's buttons do comes this way.

        Raises `Misuse` once the session is over, but for `Join`; leaving then is quiet.
        """
        if not isinstance(request, Join | Leave):
            self._in_session()
        life = self._membership.life
        life.acted()
        director = self._client._core.director
        match request:
            case _ if isinstance(request, OwnRequest):
                self._own(request)
            case SwitchFocus():
                await director.switch(self.cid)
            case SuspendAudio():
                await director.suspend(self.cid)
            case ResumeAudio():
                await director.resume(self.cid)
            case SetMultiCallPolicy(policy):
                director.set_policy(policy)
            case SetMicrophone(on):
                await self._membership.set_microphone(on)
            case Leave():
                if self._membership.state.value.phase in HERE:
                    life.happened(EndButtonPressed(self.cid, time.time()))
                await self._client._core.leave(self._membership, None)
            case Join():
                await self._client._core.join(self.cid)
            case Reaction() | CustomSignal() | Typing():
                self._client._core.session_open().emit(self.cid, request)
            case _:
                await self._client._core.session_open().do(self.cid, request)

    async def people(self, text: str = "", *, limit: int = 50, after: int = 0) -> PeoplePage:
        """Return a page of everybody here, the unlisted included, in order of joining."""
        return await self._client.people(self.cid, text, limit=limit, after=after)

    async def messages(self, before: str | None = None, *, limit: int = 50) -> MessagesPage:
        """Return chat before message id `before` (the newest without), oldest first."""
        return await self._client.messages(self.cid, before, limit=limit)

    # ---- sound

    @property
    def audio_configuration(self) -> EffectiveAudio:
        """What our sound is made of, with who said each value."""
        return self._membership.audio.effective

    @on_engine
    async def configure_audio(self, /, **changes: Any) -> None:
        """Change values of `AudioConfiguration` for this call, take a `profile` or leave it (None), or send `music`.

        In use, bitrate, dtx, fec, expected_loss_percent and red_depth act on the next packet; echo_cancellation,
        noise_suppression, gain_control and output_route within 40 ms. `profile` is one of `PROFILES`, "64k", "128k" or
        "128k-stereo"; with `music=True` the microphone is left untouched, and False gives back what was wished before.
        Raises `Misuse` for what cannot change while the call uses sound, `Refused` if the room does not allow it.
        """
        self._in_session()
        self._membership.configure_audio(changes)

    def explain(self, question: str = "") -> str:
        """Answer a question about this call in words and with times: "why is bo silent?", "who has the microphone?".

        Without a question: what this call has of microphone and loudspeaker, and why.
        """
        return self._client.explain(question, self.cid)

    def set_volume(self, user: str, gain: float) -> None:
        """Make one person louder or softer for me alone: 0.0 is silent, 1.0 as sent, at most 4.0."""
        self._in_session()
        if not isinstance(gain, int | float) or math.isnan(gain):
            raise Misuse(f"a volume is 0.0 to {LOUDEST:g}, not {str(gain)[:40]}")
        volume = min(max(gain, 0.0), LOUDEST)
        self.engine.call_soon(lambda: self._membership.set_volume(UserId(user), volume))

    def set_person_muted(self, user: str, muted: bool) -> None:
        """Hear one person no more, or again as loud as before, for me alone; remembered like their volume."""
        self.engine.call_soon(lambda: self._membership.set_person_muted(UserId(user), muted))

    @property
    def statistics(self) -> tuple[CallStatistics, ...]:
        """The statistics of the last ten minutes, one every two seconds, oldest first; the newest is in `state` too."""
        return self.stats.history

    def statistics_arrays(self) -> Mapping[str, NDArray[np.float64]]:
        """Return the last ten minutes as one array for each number; the same as `stats.arrays()`."""
        return self.stats.arrays()

    def last(self, user: str, seconds: float = 1.0) -> Block:
        """Return up to the last `seconds` (5 at most) heard of `user`, shape (frames, channels); empty if never heard."""
        return self._membership.ears.last(UserId(user), seconds)

    def heard_seconds(self) -> Mapping[UserId, float]:
        """Return for how long each person was heard here, louder than −50 dBFS, measured on the decoded sound."""
        return self._membership.ears.heard_seconds()

    def tap(self, heard: Callable[[UserId, Block], None]) -> Callable[[], None]:
        """Call `heard(user, block)`, on the engine's thread, for every 20 ms heard of anyone; return how to stop that.

        It must be quick: it is called between the pulling and the mixing of sound.
        """
        return self._client._core.sound.tap(self._membership.cid, heard)

    # ---- waiting for things

    async def sound_connected(self, timeout_seconds: float = 10.0) -> None:
        """Return once sound flows both ways. Raises `TimeoutError`."""
        await self.state.until(lambda call: call.media is MediaPhase.CONNECTED, timeout_seconds)

    async def left(self) -> str | None:
        """Return once this call is over, with the reason if it was not our own wish."""
        return (await self.state.until(lambda call: call.phase is CallPhase.LEFT)).left_reason


class BlockingCall(BlockingSessionMethods):
    """`Call` without `await`: the same methods, which return when it is done."""

    leave = twin(Call.leave)
    suspend_audio = twin(Call.suspend_audio)
    resume_audio = twin(Call.resume_audio)
    set_microphone = twin(Call.set_microphone)
    raise_hand = twin(Call.raise_hand)
    withdraw_hand = twin(Call.withdraw_hand)
    accept = twin(Call.accept)
    decline = twin(Call.decline)
    go_live = twin(Call.go_live)
    stop_live = twin(Call.stop_live)
    end = twin(Call.end)
    ring = twin(Call.ring)
    update = twin(Call.update)
    set_grants = twin(Call.set_grants)
    grant_hand = twin(Call.grant_hand)
    deny_hand = twin(Call.deny_hand)
    next_hand = twin(Call.next_hand)
    lower_all_hands = twin(Call.lower_all_hands)
    invite = twin(Call.invite)
    grant = twin(Call.grant)
    revoke = twin(Call.revoke)
    mute = twin(Call.mute)
    mute_all = twin(Call.mute_all)
    kick = twin(Call.kick)
    block = twin(Call.block)
    unblock = twin(Call.unblock)
    set_role = twin(Call.set_role)
    remove_member = twin(Call.remove_member)
    post = twin(Call.post)
    edit_message = twin(Call.edit_message)
    delete_message = twin(Call.delete_message)
    react = twin(Call.react)
    send_custom = twin(Call.send_custom)
    typing = twin(Call.typing)
    perform = twin(Call.perform)
    configure_audio = twin(Call.configure_audio)
    people = twin(Call.people)
    messages = twin(Call.messages)
    sound_connected = twin(Call.sound_connected)
    left = twin(Call.left)
