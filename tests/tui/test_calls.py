"""Several calls in the dashboard, on real engines: what the foot of the screen shows, what keys and palette do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.command import CommandList, CommandPalette
from textual.widgets import Input

from greenroom.backends.loopback import LoopbackWorld
from greenroom.engine.client import Client
from greenroom.protocol.ids import Cid
from greenroom.protocol.ringing import RingAnswer, Rung
from greenroom.state.focus import MultiCallPolicy
from greenroom_tui.app import DashboardApp
from greenroom_tui.screens.ask import AskText
from greenroom_tui.screens.calls import CallsScreen
from greenroom_tui.screens.lobby import LobbyScreen
from greenroom_tui.screens.room import RoomScreen
from tests.tui.looking import Dashboard

CONCERT, DESK = Cid("audio_room:concert"), Cid("audio_room:desk")
Do = Callable[[Dashboard, str, str], Coroutine[Any, Any, None]]


class Evening:
    """Hana at her dashboard; Bo plays a concert, Cy has a support desk."""

    def __init__(self, shown: Dashboard, hana: Client, bo: Client, cy: Client) -> None:
        self.shown = shown
        self.hana = hana
        self.bo = bo
        self.cy = cy

    async def in_both(self) -> None:
        """Bring Hana into both rooms; the desk, joined last, has the sound."""
        for cid in (CONCERT, DESK):
            await self.hana.join(cid)
        await self.shown.sees("1 ‖ The concert", "2 ▶ The support desk")

    async def looks_at(self, cid: Cid | None) -> None:
        """Wait until the room `cid` is on screen; None: the lobby."""

        def there() -> bool:
            top = self.shown.app.screen
            return (
                top.cid == cid
                if isinstance(top, RoomScreen)
                else cid is None and isinstance(top, LobbyScreen)
            )

        await self.shown.until(there, f"the screen of {cid}")

    async def focused(self, cid: Cid | None) -> None:
        await self.shown.until(lambda: self.hana.state.value.focus.focused == cid, f"the focus on {cid}")

    async def rung_by(self, *people: Client, title: str = "") -> None:
        """Let people call Hana."""
        for one in people:
            await one.ring("hana", title=title)
        await self.shown.sees(*(f"{one.state.value.name} calls you" for one in people), "F2 Accept")

    async def answered(self, who: Client, answer: RingAnswer, reason: str = "") -> None:
        """Wait until the newest call of `who` was answered like that by Hana."""

        def mine() -> Rung | None:
            rings = who.state.value.rings
            newest = [*rings.over, *rings.rings.values()][-1]
            return newest.of(self.hana.state.value.user)

        await self.shown.until(
            lambda: (rung := mine()) is not None and (rung.answer, rung.reason) == (answer, reason),
            f"{answer}, now {mine()}",
        )

    @property
    def room_of_call(self) -> Cid:
        return next(cid for cid in self.hana.state.value.calls if cid.startswith("default:"))


@asynccontextmanager
async def evening(size: tuple[int, int] = (80, 24), *, follow_focus: bool = False) -> AsyncIterator[Evening]:
    world = LoopbackWorld(paced=False)

    def person(user: str) -> Client:
        backend = world.backend(user, user.title())
        return Client(backend=backend, paced=False, allow_multiple_active_calls=True)

    async with person("hana") as hana, person("bo") as bo, person("cy") as cy:
        for who, cid, title in ((bo, CONCERT, "The concert"), (cy, DESK, "The support desk")):
            call = await who.join(cid, create=True, title=title)
            await call.go_live()
        app = DashboardApp(hana, follow_focus=follow_focus)
        async with app.run_test(size=size) as pilot:
            shown = Dashboard(app, pilot)
            await shown.sees("The concert", "The support desk")
            yield Evening(shown, hana, bo, cy)


async def by_key(shown: Dashboard, key: str, _label: str) -> None:
    await shown.press({",": "comma", ".": "full_stop", ";": "semicolon"}.get(key, key))


async def with_palette(shown: Dashboard, _key: str, label: str) -> None:
    await shown.press("ctrl+p")
    await shown.until(lambda: isinstance(shown.app.focused, Input), "the palette")
    typed = shown.app.focused
    assert isinstance(typed, Input)
    typed.value = label
    listed = shown.app.screen.query_one(CommandList)
    await shown.until(lambda: listed.option_count > 0 and listed.highlighted == 0 and label in shown.text)
    await shown.press("enter")
    await shown.until(lambda: not isinstance(shown.app.screen, CommandPalette), "an end of the palette")


@pytest.mark.parametrize("do", [by_key, with_palette])
async def test_calls_are_focused_suspended_shared_by_another_policy_and_left(do: Do) -> None:
    async with evening() as here:
        await here.in_both()
        shown = here.shown
        await do(shown, "1", "Focus: The concert")
        await here.focused(CONCERT)
        await here.looks_at(CONCERT)
        await shown.sees("1 ▶ The concert", "2 ‖ The support desk", "suspended: The concert took over")
        await do(shown, ",", "Suspend: The concert")
        await shown.sees("1 ‖ The concert", "suspended by you")
        await do(shown, ",", "Resume: The concert")
        await here.focused(CONCERT)
        await do(shown, ".", "Policy: suspend existing")
        await shown.sees("all are heard, the others softer")
        await shown.press("4")
        await shown.sees("2 · The support desk", "mic away", "♪ softer", "The concert has the mic")
        assert here.hana.state.value.focus.policy is MultiCallPolicy.DUCK
        await do(shown, ";", "Leave call: The concert")
        await shown.sees("Leave call The concert?")
        await shown.press("y")
        await here.focused(DESK)
        await here.looks_at(DESK)  # what one is in now, not the lobby
        assert CONCERT not in here.hana.state.value.calls


@pytest.mark.parametrize("do", [by_key, with_palette])
async def test_people_are_called_answered_turned_down_and_hung_up(do: Do) -> None:
    async with evening() as here:
        shown = here.shown
        await here.rung_by(here.bo)
        await do(shown, "J", "Reject the call")
        await shown.until(lambda: isinstance(shown.app.screen, AskText))
        await shown.write("in a meeting")
        await shown.press("enter")
        await here.answered(here.bo, RingAnswer.DECLINED, "in a meeting")
        await here.rung_by(here.cy)
        await do(shown, "W", "Say busy")
        await here.answered(here.cy, RingAnswer.BUSY)
        await do(shown, "K", "Call")
        await shown.until(lambda: isinstance(shown.app.focused, Input))
        await shown.press("B")
        await shown.until(lambda: shown.app.screen.query_one(Input)._suggestion == "Bo")
        await shown.press("right", "enter")
        await shown.sees("↗ calling Bo…", "Bo: rings", "F5 Hang up")
        await do(shown, "Z", "Hang up")
        await shown.sees("you hung up")
        await here.rung_by(here.cy, title="weekly")
        await do(shown, "Y", "Accept the call")
        await here.answered(here.cy, RingAnswer.ACCEPTED)
        await here.looks_at(here.room_of_call)
        await shown.sees("weekly", "microphone open")


async def test_a_call_is_taken_while_one_writes_and_what_was_written_is_still_there() -> None:
    async with evening() as here:
        shown = here.shown
        await here.hana.join(DESK)
        await shown.press("1")
        await here.looks_at(DESK)
        await shown.press("c")
        await shown.write("as i said")
        await here.rung_by(here.bo, here.cy)
        await shown.press("f6")
        await shown.sees("▸ Cy calls you")
        await shown.press("f2")
        await here.answered(here.cy, RingAnswer.ACCEPTED)
        await here.looks_at(here.room_of_call)
        await shown.sees("call with Cy", "1 ‖ The support desk", "↘ Bo calls you")
        await shown.press("f3")
        await here.answered(here.bo, RingAnswer.DECLINED)
        await shown.until(lambda: "Bo calls you" not in shown.text)
        await here.cy.call(here.room_of_call).leave()
        await here.looks_at(DESK)  # the call that goes on is what one sees
        await shown.sees("as i said", "the call ended")


async def test_calls_are_answered_from_under_a_question_which_stays() -> None:
    async with evening() as here:
        shown = here.shown
        await shown.press("n")
        await shown.write("retro")
        await here.rung_by(here.bo, here.cy)
        await shown.press("f4")
        await here.answered(here.bo, RingAnswer.BUSY)
        await shown.press("f2")
        await here.answered(here.cy, RingAnswer.ACCEPTED)
        await here.focused(here.room_of_call)
        assert isinstance(shown.app.screen, AskText)
        assert shown.app.screen.query_one(Input).value == "retro"
        await shown.press("escape")
        await here.looks_at(here.room_of_call)  # not before the question was answered


async def test_what_is_not_possible_says_so() -> None:
    async with evening() as here:
        for key, words in (
            ("f2", "no call rings for you"),
            ("J", "no call rings for you"),
            ("f6", "no other call rings"),
            ("f5", "no call you placed rings"),
            ("3", "there is no call 3"),
            ("comma", "“Suspend” is not possible now: you are in no call"),
            ("f8", "“Stay” is not possible now"),
        ):
            await here.shown.press(key)
            await here.shown.sees(words)


async def test_what_became_of_a_call_is_told_and_a_missed_one_stays_in_sight_until_looked_at() -> None:
    async with evening() as here:
        shown = here.shown
        await shown.press("K")
        await shown.write("nobody, cy")
        await shown.press("enter")
        await shown.sees("calling", "nobody", "Cy: rings")
        ring = here.cy.state.value.rings
        await here.cy.reject(next(iter(ring.rings)), reason="at lunch")
        await shown.sees("Cy declined the call")
        await shown.press("f5")
        await shown.sees("you hung up")
        await here.rung_by(here.bo)
        await here.bo.cancel_ring(next(iter(here.bo.state.value.rings.rings)))
        await shown.sees("! 1 missed call, the newest from Bo", "H shows them")
        await shown.press("0")
        await shown.until(lambda: isinstance(shown.app.screen, CallsScreen))
        await shown.sees("missed call from Bo", "Enter calls back")
        await shown.press("enter")
        await shown.sees("Call somebody", " bo ")
        await shown.press("escape", "escape")
        await shown.until(lambda: "missed call" not in shown.text)


async def test_the_list_of_calls_says_who_has_what_and_its_keys_are_about_the_chosen_call() -> None:
    async with evening((120, 40)) as here:
        shown = here.shown
        await here.in_both()
        await shown.press("0")
        await shown.sees(
            "2 calls", "you hear The support desk", "suspend existing: a call that becomes active"
        )
        await shown.press("home", "comma")
        await here.focused(CONCERT)
        await shown.sees("2 ‖ The support desk", "suspended: The concert took over")
        await shown.press("down", "o")
        await here.looks_at(DESK)  # looked at, and still suspended
        await here.focused(CONCERT)
        await shown.press("0", "down", "enter")
        await here.looks_at(DESK)
        await here.focused(DESK)


async def test_why_is_answered_in_words_with_the_titles_of_calls() -> None:
    async with evening() as here:
        shown = here.shown
        await here.in_both()
        await shown.press("1")
        await here.looks_at(CONCERT)
        await here.focused(CONCERT)
        await shown.press("slash")
        await shown.sees("who has what?", "You hear The concert at full volume", "You hear nothing of The")
        await shown.write("why does nobody hear me")
        await shown.press("enter")
        await shown.sees("why does nobody hear me", "Your microphone is closed")
        await shown.press("escape")
        await here.looks_at(CONCERT)


async def test_a_story_is_followed_from_call_to_call_with_its_words_on_every_screen() -> None:
    async with evening(follow_focus=True) as here:
        shown = here.shown
        await here.hana.join(CONCERT)
        await here.looks_at(CONCERT)
        await here.hana.join(DESK)
        await here.looks_at(DESK)
        here.hana.note("Focus goes back to the concert.")
        await shown.sees("❯ Focus goes back to the concert.")
        await here.hana.switch_focus(CONCERT)
        await here.looks_at(CONCERT)
        for key in ("H", "0", "A", "question_mark"):
            await shown.press(key)
            await shown.sees("❯ Focus goes back to the concert.")


async def test_without_a_story_the_screen_stays_where_the_person_is() -> None:
    async with evening() as here:
        await here.in_both()
        await here.hana.switch_focus(CONCERT)
        await here.shown.sees("1 ▶ The concert", "1 back")
        await here.looks_at(None)
