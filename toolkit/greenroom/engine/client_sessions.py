"""The part of a client that is about sessions: starting one, listening to what happens in it, what runs beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from greenroom.engine.client_core import ClientCore
from greenroom.engine.connecting import Entry, enter
from greenroom.engine.listeners import SessionListener
from greenroom.engine.observe import Observe
from greenroom.engine.services import Services
from greenroom.engine.thread import Blocking, EngineThread, on_engine, twin
from greenroom.errors import GreenroomError, Misuse
from greenroom.observable import Observable
from greenroom.policies.preferences import CallPreferences, over
from greenroom.protocol.ids import Cid, parse_cid
from greenroom.protocol.wire import MintCallToken, Token
from greenroom.state.call_settings import CallSettings
from greenroom.state.connect_options import ConnectOptions
from greenroom.state.engine import ClientState
from greenroom.state.session_events import SessionEvent

if TYPE_CHECKING:
    from greenroom.engine.call import Call
    from greenroom.protocol.ringing import Ring

TOKEN_SECONDS = 3600.0


class ClientSessions:
    """What `Client` has of it."""

    state: Observable[ClientState]
    _core: ClientCore

    @property
    def engine(self) -> EngineThread:
        """The thread this client lives on."""
        raise NotImplementedError

    def call(self, cid: str) -> Call:
        """Return the call in room `cid`."""
        raise NotImplementedError

    if TYPE_CHECKING:  # other parts of a client have them

        @property
        def active_calls(self) -> Observable[tuple[Call, ...]]: ...

        @property
        def focused_call(self) -> Observable[Call | None]: ...

        @property
        def incoming_calls(self) -> Observable[tuple[Ring, ...]]: ...

        @property
        def outgoing_calls(self) -> Observable[tuple[Ring, ...]]: ...

    @on_engine
    async def start_session(
        self,
        cid: str,
        settings: CallSettings | None = None,
        *,
        create: bool = False,
        title: str = "",
        options: ConnectOptions | None = None,
        preferences: CallPreferences | None = None,
    ) -> Call:
        """Come into a room for a session with `settings`, ours without; unlike a plain join it ends when nobody uses it.

        `options` says what they leave open. Raises what `join` raises, and `Misuse` while a session with other settings
        is on in that room.
        """
        room = parse_cid(cid)
        entry = Entry(
            create=create,
            title=title,
            options=options or ConnectOptions(),
            preferences=preferences or CallPreferences(),
            settings=settings or CallSettings(),
        )
        await enter(self._core, room, entry)
        return self.call(room)

    @on_engine
    async def call_token(self, cid: str, seconds: float = TOKEN_SECONDS) -> Token:
        """Return a token for us in one room alone, good for `seconds`, at most a day; the room need not be there yet.

        Whoever has it is us there, so it is for a device of ours. Raises `Refused` for guests, and for a client that came
        with such a token itself.
        """
        answer = await self._core.ask(MintCallToken(parse_cid(cid), seconds))
        if not isinstance(answer, Token):
            raise GreenroomError("the server answered something else than was asked")
        return answer

    @property
    def preferences(self) -> CallPreferences:
        """What calls prefer that say nothing themselves."""
        return self._core.sessions.preferences

    def set_preferences(self, preferences: CallPreferences) -> None:
        """Change what `preferences` sets, for calls that begin from now on; what it leaves unset stays."""
        if not isinstance(preferences, CallPreferences):
            raise Misuse(f"preferences must be a CallPreferences, not {type(preferences).__name__}")
        sessions = self._core.sessions
        sessions.preferences = over(preferences, sessions.preferences)

    # ---- listening

    def add_listener(
        self,
        id: str,
        listener: SessionListener,
        *kinds: type[SessionEvent],
        cid: str | None = None,
    ) -> Callable[[], None]:
        """Call `listener(event)`, on the engine's thread, for what happens in our sessions; return how to stop that.

        The listener of the same `id` is replaced. With `kinds` it hears only those classes of
        `greenroom.state.session_events`, with `cid` only one room's. One that raises is logged once and harms nobody.
        """
        room: Cid | None = None if cid is None else parse_cid(cid)
        return self._core.sessions.listeners.add(id, listener, kinds, room)

    def remove_listener(self, id: str) -> bool:
        """Forget the listener of that id; tell whether there was one."""
        return self._core.sessions.listeners.remove(id)

    @property
    def listeners(self) -> tuple[str, ...]:
        """The ids of who listens, in order of registration."""
        return self._core.sessions.listeners.ids

    # ---- beside the calls

    @property
    def services(self) -> Services:
        """The background services of our calls."""
        return self._core.sessions.services

    @cached_property
    def observe(self) -> Observe:
        """Our calls from every side, each side observable by itself."""
        return Observe(self)


class BlockingSessions(Blocking):
    """`ClientSessions` without `await`."""

    start_session = twin(ClientSessions.start_session)
    call_token = twin(ClientSessions.call_token)
