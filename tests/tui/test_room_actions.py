"""Everything a person can do in a room, by its key and by the command palette."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets import Input

from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.ids import MODERATOR, SPEAKER, MessageId, UserId
from greenroom.protocol.requests import (
    AcceptInvitation,
    BlockUser,
    DeclineInvitation,
    DeleteMessage,
    DenyHand,
    EditMessage,
    End,
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
    Revoke,
    SetMicrophone,
    SetRole,
    StartRing,
    StopLive,
    UnblockUser,
    UpdateRoom,
    WithdrawHand,
)
from greenroom.protocol.wire import Reaction, Typing
from greenroom.state.idle import Idle, IdlePhase
from greenroom.state.layout import Layout
from greenroom.state.own_requests import Pin, SetLayout, SetPictureInPicture, Stay
from greenroom.views.actions import ACTIONS, BY_ID, Asked, Group, label_of
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.widgets.people import Audience, Hands
from greenroom_tui.widgets.stage import Stage
from tests.tui.looking import Dashboard, dashboard
from tests.tui.world import ANN, BO, CID, CY, DEE, HANA, SPEAK, World, standup

Step = Callable[[Dashboard], Coroutine[Any, Any, None]]


class Case(msgspec.Struct, frozen=True):
    """`before` brings the room and the selection to where the action makes sense; `after` answers what it asks."""

    action: str
    asks: Asked
    me: Any = HANA
    others: Callable[[World], None] = lambda world: None
    before: Step | None = None
    after: Step | None = None
    id: str = ""


def choosing(rows: type[Stage] | type[Hands] | type[Audience], who: Any) -> Step:
    async def step(shown: Dashboard) -> None:
        await shown.select(rows, who.user)

    return step


def pressing(*keys: str) -> Step:
    async def step(shown: Dashboard) -> None:
        await shown.press(*keys)

    return step


def writing(text: str) -> Step:
    async def step(shown: Dashboard) -> None:
        await shown.press("end", "ctrl+u")
        await shown.write(text)
        await shown.press("enter")

    return step


def invited(world: World) -> None:
    world.act(HANA, InviteToStage(DEE.user))


def blocked(world: World) -> None:
    world.act(HANA, BlockUser(DEE.user))


def asked_to_stay(world: World) -> None:
    world.change(idle=Idle(IdlePhase.PROMPTING, 0.0, 1.0, 9e9))


yes = pressing("y")
CASES = [
    Case("microphone", SetMicrophone(False)),
    Case("hand", RaiseHand(), me=DEE),
    Case("hand", WithdrawHand(), me=BO, id="hand down"),
    Case("accept", AcceptInvitation(), me=DEE, others=invited),
    Case("decline", DeclineInvitation(), me=DEE, others=invited),
    Case("leave", Leave()),
    Case("next", NextHand()),
    Case("grant", GrantHand(CY.user), before=choosing(Hands, CY)),
    Case("grant", GrantHand(BO.user), id="grant the first when none is chosen"),
    Case("deny", DenyHand(CY.user), before=choosing(Hands, CY)),
    Case("lower_all", LowerAllHands(), after=yes),
    Case("queue_policy", UpdateRoom(hand_policy=HandPolicy.LEAST_TALKED)),
    Case("invite", InviteToStage(DEE.user), before=choosing(Audience, DEE)),
    Case("allow", Grant(DEE.user, SPEAK), before=choosing(Audience, DEE)),
    Case("revoke", Revoke(ANN.user, SPEAK), before=choosing(Stage, ANN)),
    Case("mute", Mute(ANN.user), before=choosing(Stage, ANN)),
    Case("mute_all", MuteAll(), after=yes),
    Case("kick", Kick(DEE.user), before=choosing(Audience, DEE), after=yes),
    Case("block", BlockUser(DEE.user), before=choosing(Audience, DEE), after=yes),
    Case("unblock", UnblockUser(DEE.user), others=blocked, after=pressing("1")),
    Case("make_speaker", SetRole(DEE.user, SPEAKER), before=choosing(Audience, DEE)),
    Case("make_moderator", SetRole(DEE.user, MODERATOR), before=choosing(Audience, DEE)),
    Case("live", StopLive()),
    Case("end", End(), after=yes),
    Case("call_in", StartRing((UserId("zoe"),), keep_room=True), after=writing("zoe")),
    Case("title", UpdateRoom(title="Retro"), after=writing("Retro")),
    Case("react", Reaction("👏"), after=pressing("3")),
    Case("message", PostMessage("hi all"), after=writing("hi all")),
    Case("edit_message", EditMessage(MessageId("m15"), "never"), after=writing("never")),
    Case("delete_message", DeleteMessage(MessageId("m15")), after=yes),
    Case("stay", Stay(), others=asked_to_stay),
    Case("layout", SetLayout(Layout.TILE)),
    Case("pin", Pin(ANN.user), before=choosing(Stage, ANN)),
    Case("small", SetPictureInPicture(True)),
]


def test_every_action_of_the_table_is_tried_here() -> None:
    elsewhere = {action.id for action in ACTIONS if action.group is Group.SOUND}  # in test_audio_screen
    assert {case.action for case in CASES} == {action.id for action in ACTIONS} - elsewhere


@pytest.mark.parametrize("way", ["key", "palette"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.id or case.action) for case in CASES])
async def test_an_action_asks_the_room_for_what_it_says(case: Case, way: str) -> None:
    world = standup(case.me)
    case.others(world)
    newest = world.room().chat[-1].id
    asks = case.asks
    if isinstance(asks, EditMessage | DeleteMessage):
        asks = msgspec.structs.replace(asks, id=newest)
    async with dashboard(world) as shown:
        if case.before is not None:
            await case.before(shown)
        action = BY_ID[case.action]
        if way == "key":
            await shown.press(action.key)
        else:
            await by_palette(shown, label_of(action, world.state.value.calls[CID]))
        if case.after is not None:
            await shown.until(lambda: asked_back(shown), "a question back")
            await case.after(shown)
        await shown.until(lambda: asks in world.asked, f"{asks} in {world.asked}")
        assert [request for request in world.asked if not isinstance(request, Typing)] == [asks]


def asked_back(shown: Dashboard) -> bool:
    """Whether the dashboard waits for an answer: in a question over the screen, or where chat is written."""
    if isinstance(shown.app.screen, RoomScreen):
        return isinstance(shown.app.focused, Input)
    return shown.app.screen.is_mounted and shown.app.screen is not shown.room


async def by_palette(shown: Dashboard, label: str) -> None:
    await shown.press("ctrl+p")
    await shown.until(lambda: isinstance(shown.app.focused, Input), "the palette")
    assert isinstance(shown.app.focused, Input)
    shown.app.focused.insert_text_at_cursor(label)  # at once: by keys it takes a second
    listed = shown.app.screen.query_one(CommandList)
    await shown.until(lambda: listed.option_count == 1 or (listed.highlighted == 0 and label in shown.text))
    await shown.press("enter")
    await shown.until(lambda: not isinstance(shown.app.screen, CommandPalette), "an end of the palette")


async def test_what_must_be_sure_is_asked_and_no_means_no() -> None:
    world = standup()
    async with dashboard(world) as shown:
        await shown.press("M")
        await shown.sees("Mute all?", "Close every microphone but mine")
        await shown.press("n")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
        assert world.asked == []


async def test_what_is_not_possible_says_so_and_asks_nothing() -> None:
    world = standup(DEE)
    async with dashboard(world) as shown:
        await shown.press("G")
        await shown.sees("“Go backstage” is not possible now")
        assert world.asked == []


async def test_a_refusal_is_shown_in_the_servers_words() -> None:
    world = standup(DEE)
    async with dashboard(world) as shown:
        shown.app.perform(CID, Mute(ANN.user))
        await shown.until(lambda: world.asked == [Mute(ANN.user)])
        await shown.sees("mute-users")


async def test_the_foot_names_the_keys_that_work_now() -> None:
    async with dashboard(standup(DEE)) as shown:
        foot = "\n".join(shown.lines[-2:])
        assert "r Raise hand" in foot
        assert "Grant" not in foot
        await shown.press("r")
        await shown.sees("r Lower hand")


async def test_help_has_every_key_of_the_table() -> None:
    async with dashboard(standup(), size=(120, 100)) as shown:
        await shown.press("?")
        await shown.sees(*(action.help for action in ACTIONS if len(action.help) < 60))
        await shown.press("escape")
        await shown.until(lambda: isinstance(shown.app.screen, RoomScreen))
