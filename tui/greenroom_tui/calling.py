"""The dashboard's side of several calls: what rings is shown and heard, what a person does about calls is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from textual.screen import ModalScreen

from greenroom.errors import GreenroomError
from greenroom.protocol.ids import Cid, UserId
from greenroom.protocol.records import CallRecord
from greenroom.protocol.ringing import EndReason, Ring, RingAnswer, RingId
from greenroom.state.call import CallPhase, CallState
from greenroom.state.engine import ClientState
from greenroom.state.focus import SetMultiCallPolicy
from greenroom.state.rings import RingsState, answer_of, incoming
from greenroom.views.call_actions import (
    CALL_ACTIONS,
    CALL_ACTIONS_BY_ID,
    CallAction,
    call_label,
    calls_here,
    numbered,
    possible,
)
from greenroom.views.calls import policy_choices, title_of
from greenroom.views.people import Person, completed, known_people, people_called
from greenroom.views.ring_actions import RING_ACTIONS, RING_ACTIONS_BY_ID, RingAction, RingChoice
from greenroom.views.rings import end_words, incoming_words, ring_words
from greenroom.views.status import left_words
from greenroom_tui.screens.ask import AskText, Choice, Choose, Confirm
from greenroom_tui.screens.room import RoomScreen
from greenroom_tui.terminal import notify
from greenroom_tui.widgets.ringing import Banner, banner

if TYPE_CHECKING:
    from greenroom_tui.app import DashboardApp
    from greenroom_tui.engine import Engine

RING_EVERY_SECONDS = 3.0
HERE = (CallPhase.JOINING, CallPhase.JOINED, CallPhase.RECONNECTING)
_TONES = {EndReason.ENDED: "info", EndReason.MERGED: "info", EndReason.CANCELLED: "info"}


class Doing(NamedTuple):
    """Something that can be done, as the palette and help read it."""

    label: str
    help: str
    key: str
    take: Callable[[], None]
    now: bool


class Calling:
    """Follows the engine's state beside the screens. With `follow_focus` the room of the focused call is opened."""

    def __init__(self, app: DashboardApp, engine: Engine, *, follow_focus: bool = False) -> None:
        self.records: tuple[CallRecord, ...] = ()
        self.rings_aloud = True
        self._app = app
        self._engine = engine
        self._follow_focus = follow_focus
        self._before: ClientState | None = None
        self._chosen: Cid | None = None
        self._announced: set[RingId] = set()
        self._silenced: set[RingId] = set()
        self._rang_at = float("-inf")
        self._to_show: Cid | None = None
        self._told_over: set[Cid] = set()

    # ---- state flows in

    def follow(self, state: ClientState, now: float) -> None:
        """Show, tell and ring what is new in `state`. `now` is wall-clock."""
        before, self._before = self._before, state
        if before is None:
            before = ClientState(rings=state.rings, calls=state.calls)
        if before.rings is not state.rings:
            self._tell_rings(before.rings, state)
            self._tell_missed(before.rings, state)
        self._tell_over(state)
        self._ring(state, now)
        self._go_along(before, state)
        self.show_banner(state, now)

    def show_banner(self, state: ClientState, now: float) -> None:
        """Put what rings on top of whatever screen there is."""
        rings = incoming(state.rings, state.user)
        silenced = all(ring.id in self._silenced for ring in rings)
        top = self._app.screen
        on_screen = top.cid if isinstance(top, RoomScreen) else None
        told = banner(state, self._chosen, silenced or not self.rings_aloud, on_screen, now)
        for screen in self._app.screen_stack:
            shown = next(iter(screen.query(Banner)), None)
            if shown is not None:
                shown.show(told)
            elif told.notes and screen.is_mounted and screen.is_running:
                shown = Banner()
                screen.mount(shown, before=0)
                shown.call_after_refresh(shown.show, told)

    def _tell_rings(self, before: RingsState, state: ClientState) -> None:
        """Say what became of calls; what rings and what we wait for is in the banner."""
        for ring in (*state.rings.over, *state.rings.rings.values()):
            known = before.find(ring.id)
            if known is ring or answer_of(ring, state.user) is RingAnswer.RINGING:
                continue
            if known is None and not ring.over:
                continue
            words = ring_words(known, ring, state)
            if words is not None:
                self._app.say(words, _tone(ring))

    def _tell_missed(self, before: RingsState, state: ClientState) -> None:
        new = [call for call in state.rings.missed if call not in before.missed]
        if new:
            self._call_attention(f"missed call from {new[-1].by_name}")

    def _tell_over(self, state: ClientState) -> None:
        """Say of a call that ended by itself why it did; its own screen says so where it is open."""
        open_rooms = [screen.cid for screen in self._app.screen_stack if isinstance(screen, RoomScreen)]
        over = [call for call in state.calls.values() if call.phase is CallPhase.LEFT]
        for call in over:
            if call.cid not in self._told_over and call.cid not in open_rooms:
                self._app.say(*self.over_words(call, state))
        self._told_over = {call.cid for call in over}

    def over_words(self, call: CallState, state: ClientState) -> tuple[str, str]:
        """Return why a call is over for us, with the tone to say it in; of one that rang what became of it."""
        ring = next((ring for ring in reversed(state.rings.over) if ring.cid == call.cid), None)
        if ring is not None and call.left_reason:
            return end_words(ring, state.user), _tone(ring)
        return left_words(call, state.log)

    def _ring(self, state: ClientState, now: float) -> None:
        rings = incoming(state.rings, state.user)
        for ring in rings:
            if ring.id not in self._announced:
                self._announced.add(ring.id)
                mine = ring.of(state.user)
                self._call_attention(incoming_words(ring, mine) if mine is not None else ring.by_name)
        ringing = {ring.id for ring in rings}
        self._announced &= ringing
        self._silenced &= ringing
        if self._chosen not in [ring.cid for ring in rings]:
            self._chosen = rings[0].cid if rings else None
        if self.rings_aloud and ringing - self._silenced and now - self._rang_at >= RING_EVERY_SECONDS:
            self._rang_at = now
            self._app.run_worker(self._sound(), exit_on_error=False)

    def _call_attention(self, words: str) -> None:
        self._app.bell()
        notify(self._app, words)

    def _go_along(self, before: ClientState, state: ClientState) -> None:
        """Open the room of a call that was answered, ours or theirs, and with `follow_focus` of the focused one."""
        for cid, call in state.calls.items():
            ring = state.rings.rings.get(cid)
            ours = ring is not None and (ring.by == state.user or ring.id in state.rings.accepted_here)
            known = before.calls.get(cid)
            came = call.phase in HERE and (known is None or known.phase not in HERE)
            if came and ours:
                self._to_show = cid
        focused = state.focus.focused
        if self._follow_focus and focused is not None and focused != before.focus.focused:
            self._to_show = focused
        if self._to_show is None:
            return
        call_to_show = state.calls.get(self._to_show)
        if call_to_show is None or call_to_show.phase not in HERE:
            self._to_show = None
        elif not isinstance(self._app.screen, ModalScreen):
            self._app.show_room(self._to_show)  # not from under a question that is being answered
            self._to_show = None

    # ---- what a person does

    def take_key(self, key: str, chosen: Cid | None) -> bool:
        """Do what `key` means for calls, `chosen` being the call on screen; tell whether it means something."""
        state = self._app.engine_state
        if key and key in "123456789":
            cid = numbered(state, key)
            if cid is None:
                self._app.say(f"there is no call {key}")
            else:
                self.focus(cid)
            return True
        tables = {action.key: action.id for action in CALL_ACTIONS} | {
            one.key: one.id for one in RING_ACTIONS
        }
        if key not in tables:
            return False
        self.take(tables[key], chosen)
        return True

    def take(self, id_: str, chosen: Cid | None = None) -> None:
        """Do what is called `id_`, about the call `chosen` where it is about one."""
        match id_:
            case "next_ringing":
                self._next_ringing()
            case "silence_ring":
                self._silence()
            case "reject_now":
                self._take_ring(RING_ACTIONS_BY_ID["reject"], chosen)
            case "reject":
                self._reject(chosen)
            case "call":
                self.call_people()
            case _ if id_ in RING_ACTIONS_BY_ID:
                self._take_ring(RING_ACTIONS_BY_ID[id_], chosen)
            case _:
                self._take_call(CALL_ACTIONS_BY_ID[id_], chosen)

    def doings(self, chosen: Cid | None) -> Iterator[Doing]:
        """Yield everything that can be done about calls, for palette and help."""
        state = self._app.engine_state
        for action in CALL_ACTIONS:
            if action.id == "focus":
                for number, call in enumerate(calls_here(state), 1):
                    key = str(number) if number < 10 else ""
                    label = f"Focus: {title_of(call)}"
                    yield Doing(label, action.help, key, partial(self.focus, call.cid), state.focus.several)
            else:
                label = call_label(action, state, chosen)
                now = possible(action, state, chosen)
                yield Doing(label, action.help, action.key, partial(self.take, action.id, chosen), now)
        for ring in RING_ACTIONS:
            yield Doing(ring.label, ring.help, ring.key, partial(self.take, ring.id), ring.available(state))

    def focus(self, cid: Cid) -> None:
        """Give a call microphone and loudspeaker, and show its room."""
        state = self._app.engine_state
        request = CALL_ACTIONS_BY_ID["focus"].build(state.calls.get(cid), "")
        if state.focus.several and state.focus.focused != cid and request is not None:
            self._app.perform(cid, request)
        self._app.show_room(cid)

    def call_people(self, text: str = "") -> None:
        """Ask whom to call, and call them."""
        known = self.people()

        def answered(text: str | None) -> None:
            if text is not None:
                self.place(people_called(text, known))

        question = AskText(
            "Call somebody",
            text,
            "a name or user id; several with commas; → completes a name",
            check=lambda text: people_called(text, known),
            complete=lambda text: completed(text, known),
        )
        self._app.push_screen(question, answered)

    def people(self) -> tuple[Person, ...]:
        """Return everybody who is known by name."""
        return known_people(self._app.engine_state, self.records)

    def place(self, people: tuple[UserId, ...]) -> None:
        """Call `people`."""
        self._app.run_worker(self._place(people), exit_on_error=False)

    def seen_missed(self) -> None:
        """Take the missed calls as looked at."""
        if self._app.engine_state.rings.missed:
            self._engine.look_at_missed_calls()

    # ---- how it is done

    def _take_call(self, action: CallAction, chosen: Cid | None) -> None:
        state = self._app.engine_state
        cid = action.about(state, chosen)
        if not possible(action, state, chosen):
            why = "" if calls_here(state) else ": you are in no call"
            self._app.say(f"“{action.label}” is not possible now{why}", "warning")
            return
        if action.id == "policy":
            self._choose_policy()
        elif action.id == "focus":
            if cid is not None:
                self.focus(cid)
        elif cid is not None:
            call = state.calls[cid]

            def answered(yes: bool | None) -> None:
                request = action.build(call, "") if yes else None
                if request is not None:
                    self._app.perform(cid, request)

            if action.confirm:
                self._app.push_screen(Confirm(f"{action.label} {title_of(call)}?", action.help), answered)
            else:
                answered(True)

    def _choose_policy(self) -> None:
        choices = [
            Choice(policy.value, words) for policy, words in policy_choices(self._app.engine_state.focus)
        ]

        def answered(name: str | None) -> None:
            request = None if name is None else CALL_ACTIONS_BY_ID["policy"].build(None, name)
            if isinstance(request, SetMultiCallPolicy):
                self._ask(self._engine.set_multi_call_policy(request.policy))

        self._app.push_screen(Choose("When you are in several calls", choices), answered)

    def _take_ring(self, action: RingAction, chosen: Cid | None, words: str = "") -> None:
        state = self._app.engine_state
        ringing = self._chosen if action.id in ("answer", "reject", "busy") else None
        asked = [cid for cid in (chosen, ringing) if cid is not None]
        abouts = (action.about(state, RingChoice(cid)) for cid in (*asked, None))
        about = next((cid for cid in abouts if cid is not None), None)
        request = action.build(RingChoice(about, text=words))
        if about is None or request is None:
            calls = "you placed rings" if action.id == "hang_up" else "rings for you"
            self._app.say(f"no call {calls}")
        else:
            self._ask(self._engine.perform(about, request))

    def _reject(self, chosen: Cid | None) -> None:
        action = RING_ACTIONS_BY_ID["reject"]
        if not action.available(self._app.engine_state):
            self._app.say("no call rings for you")
            return

        def answered(words: str | None) -> None:
            if words is not None:
                self._take_ring(action, chosen, words.strip())

        self._app.push_screen(AskText("Reject the call", hint="words for the caller, or none"), answered)

    def _next_ringing(self) -> None:
        state = self._app.engine_state
        cids = [ring.cid for ring in incoming(state.rings, state.user)]
        if len(cids) < 2:
            self._app.say("no other call rings for you")
            return
        at = cids.index(self._chosen) if self._chosen in cids else -1
        self._chosen = cids[(at + 1) % len(cids)]
        self._app.refresh_calls()

    def _silence(self) -> None:
        state = self._app.engine_state
        ringing = {ring.id for ring in incoming(state.rings, state.user)}
        if self.rings_aloud and ringing - self._silenced:
            self._silenced |= ringing
            self._app.say("silenced; it goes on ringing for the caller")
        else:
            self.rings_aloud = not self.rings_aloud
            self._app.say("calls ring aloud" if self.rings_aloud else "calls ring without a sound")
        self._app.refresh_calls()

    async def _place(self, people: tuple[UserId, ...]) -> None:
        await self._app.ask(self._engine.ring(people))

    async def _sound(self) -> None:
        with suppress(GreenroomError, OSError, TimeoutError):  # without a loudspeaker the banner must do
            await self._engine.play_chime()

    def _ask(self, question: Awaitable[object]) -> None:
        self._app.run_worker(self._app.ask(question), exit_on_error=False)


def _tone(ring: Ring) -> str:
    if not ring.over:
        return "info"
    return _TONES.get(ring.outcome or EndReason.FAILED, "warning")
