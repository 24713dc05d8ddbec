"""Calls on the command line: `greenroom call` rings people, `greenroom answer` waits to be rung."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

import typer

from greenroom.cli import access
from greenroom.cli.config import Origin, Resolved, resolve
from greenroom.cli.output import Exit, say, say_error, say_json
from greenroom.cli.people import Json, NameOption, ServerOption
from greenroom.cli.sound import InputOption, OutputOption, expect_devices, open_session, volumes_file
from greenroom.errors import GreenroomError, Malformed
from greenroom.policies.audio_config import AudioConfiguration, profile_named
from greenroom.protocol.ids import UserId, parse_cid, parse_user
from greenroom.protocol.ringing import EndReason, Ring, RingId, RingPhase
from greenroom.state.engine import ClientState, ConnectionPhase
from greenroom.state.rings import incoming
from greenroom.views.rings import end_words

if TYPE_CHECKING:
    from greenroom.engine.client import Client
    from greenroom.media.audio_session import AudioSession

T = TypeVar("T")
PlayOption = Annotated[
    Path | None, typer.Option("--play", help="Say what is in this audio file.", exists=True, dir_okay=False)
]
RecordOption = Annotated[
    Path | None, typer.Option("--record", help="Write what is heard to this WAV file.", dir_okay=False)
]
SecondsOption = Annotated[
    float | None, typer.Option("--seconds", min=0.1, help="Hang up this long after it was answered.")
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", help="What our sound is made of: broadcaster, conversation, viewer or hi-fi."),
]


class _Sound(NamedTuple):
    """What a call is made with. `speaks`: the microphone is to be open."""

    play: Path | None
    record: Path | None
    audio: AudioConfiguration | None
    session: AudioSession | None
    speaks: bool


def call(
    who: Annotated[list[str], typer.Argument(metavar="WHO…", help="The people to call, by user id.")],
    room: Annotated[
        str | None, typer.Option("--room", help="An own id for the room; it stays when the call is over.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.1, help="Give up when nobody answers in this many seconds."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="What the call is about.")] = "",
    p2p: Annotated[
        bool, typer.Option("--direct", help="Send sound directly to the other, where that is possible.")
    ] = False,
    server: ServerOption = None,
    name: NameOption = None,
    play: PlayOption = None,
    record: RecordOption = None,
    seconds: SecondsOption = None,
    input: InputOption = None,
    output: OutputOption = None,
    profile: ProfileOption = None,
    json: Json = False,
) -> None:
    """Call people, and talk once somebody accepts. Ctrl-C hangs up.

    Ends with 5 when nobody took the call. Speaks with --input or --play, and without --output listens in a terminal.
    """
    people = [parse_user(one) for one in who]
    cid = None if room is None else parse_cid(room, "direct" if p2p else "default")
    if p2p and len(people) > 1:
        raise Malformed("--direct is for two; call one person")
    resolved = resolve({"server": server, "name": name, "input": input, "output": output})
    with _sound(resolved, play, record, profile) as sound:
        asyncio.run(_call(resolved, sound, people, cid, timeout, title, p2p, seconds, json))


def answer(
    from_: Annotated[
        str | None, typer.Option("--from", metavar="USER", help="Answer only who is called that.")
    ] = None,
    reject: Annotated[
        str | None, typer.Option("--reject", metavar="REASON", help="Say no, for this reason.")
    ] = None,
    busy: Annotated[bool, typer.Option("--busy", help="Say that you are busy.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, help="Wait this many seconds for a call.")
    ] = None,
    server: ServerOption = None,
    name: NameOption = None,
    play: PlayOption = None,
    record: RecordOption = None,
    seconds: SecondsOption = None,
    input: InputOption = None,
    output: OutputOption = None,
    profile: ProfileOption = None,
    json: Json = False,
) -> None:
    """Wait for a call, accept it and talk, or say no. Ctrl-C hangs up.

    Ends with 5 when no call came, or it was not connected.
    """
    if reject is not None and busy:
        raise Malformed("--reject and --busy are one answer; choose one")
    caller = None if from_ is None else parse_user(from_)
    resolved = resolve({"server": server, "name": name, "input": input, "output": output})
    with _sound(resolved, play, record, profile) as sound:
        asyncio.run(_answer(resolved, sound, caller, reject, busy, timeout, seconds, json))


@contextlib.contextmanager
def _sound(
    resolved: Resolved, play: Path | None, record: Path | None, profile: str | None
) -> Iterator[_Sound]:
    if play is not None and resolved.origins["input"] is Origin.OPTION:
        raise Malformed("--play and --input both say what others hear; choose one")
    if record is not None and resolved.origins["output"] is Origin.OPTION:
        raise Malformed("--record and --output both say where sound goes; choose one")
    audio = None if profile is None else profile_named(profile)
    microphone = resolved.origins["input"] is Origin.OPTION
    listens = resolved.origins["output"] is Origin.OPTION or (record is None and sys.stdout.isatty())
    with contextlib.ExitStack() as stack:
        session = None
        if microphone or listens:
            session = stack.enter_context(open_session(resolved, microphone=microphone, speaker=listens))
            expect_devices(session, resolved)
        yield _Sound(play, record, audio, session, speaks=microphone or play is not None)


@contextlib.asynccontextmanager
async def _client(resolved: Resolved, sound: _Sound) -> AsyncIterator[tuple[Client, Any]]:
    """Yield a client that is connected, and the file it plays, if any."""
    from greenroom.media.files import File
    from greenroom.media.sinks import WavFile

    config = resolved.config
    with contextlib.ExitStack() as stack:
        channels: Literal[1, 2] = 2 if sound.audio is not None and sound.audio.channels == 2 else 1
        source = None if sound.play is None else await asyncio.to_thread(File, sound.play, channels=channels)
        sink = None if sound.record is None else WavFile(sound.record)
        for made in (source, sink):
            if made is not None:
                stack.callback(made.close)
        client = access.client(
            config, source=source, sink=sink, devices=sound.session, volumes=volumes_file(resolved)
        )
        try:
            async with client:
                stack.enter_context(client.state.subscribe(_tell_connection, lambda state: state.connection))
                yield client, source
        except GreenroomError as error:
            raise access.with_advice(error, config) from error
    if sink is not None and sink.error is not None:
        raise GreenroomError(sink.error)


async def _call(
    resolved: Resolved,
    sound: _Sound,
    people: list[UserId],
    cid: str | None,
    timeout: float | None,
    title: str,
    p2p: bool,
    seconds: float | None,
    json: bool,
) -> None:
    async with _client(resolved, sound) as (client, source):
        with _interrupted() as interrupted, _lines(client, json):
            ring = await client.ring(
                people,
                room=cid,
                p2p=p2p,
                title=title,
                microphone=sound.speaks,
                audio_configuration=sound.audio,
            )
            answered = _until_answered(client, ring.id)
            taken = await _first(answered, interrupted, timeout)
            if taken is None:
                await _hang_up(client, ring, "" if interrupted.is_set() else "nobody answered in time")
            heard = await _talk(client, ring, source, interrupted, seconds)
            over = client.state.value.rings.find(ring.id) or ring
        _report(client, over, heard, json, interrupted.is_set() and taken is None)


async def _answer(
    resolved: Resolved,
    sound: _Sound,
    caller: UserId | None,
    reject: str | None,
    busy: bool,
    timeout: float | None,
    seconds: float | None,
    json: bool,
) -> None:
    async with _client(resolved, sound) as (client, source):
        with _interrupted() as interrupted, _lines(client, json):
            state = client.state.value
            if not json:
                say(f"waiting for a call as {state.name or state.user} ({state.user}); Ctrl-C ends")
            ring = await _first(_until_rung(client, caller), interrupted, timeout)
            if ring is None:
                if interrupted.is_set():
                    raise typer.Exit(Exit.INTERRUPTED)
                say_error("nobody called")
                raise typer.Exit(Exit.REFUSED)
            if reject is not None or busy:
                await client.reject(ring, reason=reject or "", busy=busy)
                if json:
                    _say_over(client, client.state.value.rings.find(ring.id) or ring, {})
                return
            await client.accept(ring)
            await client.join(ring.cid, microphone=sound.speaks, audio_configuration=sound.audio)
            if await _first(_until_answered(client, ring.id), interrupted, None) is None:
                await client.call(ring.cid).leave()
            heard = await _talk(client, ring, source, interrupted, seconds)
            over = client.state.value.rings.find(ring.id) or ring
        _report(client, over, heard, json, interrupted=False)


async def _until_rung(client: Client, caller: UserId | None) -> Ring:
    """Return the first call that rings, from `caller` where one is named."""

    def of_interest(state: ClientState) -> list[Ring]:
        return [ring for ring in incoming(state.rings, state.user) if caller in (None, ring.by)]

    return of_interest(await client.state.until(lambda state: bool(of_interest(state))))[0]


async def _until_answered(client: Client, ring: RingId) -> Ring:
    """Return the call once it is connected or over."""

    def found(state: ClientState) -> Ring | None:
        known = state.rings.find(ring)
        return known if known is not None and known.phase is not RingPhase.RINGING else None

    known = found(await client.state.until(lambda state: found(state) is not None))
    assert known is not None
    return known


async def _talk(
    client: Client, ring: Ring, source: Any, interrupted: asyncio.Event, seconds: float | None
) -> dict[UserId, float]:
    """Be in the call until it is over, the file or the time ends, or Ctrl-C; return for how long each was heard."""
    mine = next((one for one in client.calls if one.cid == ring.cid), None)
    if mine is None:
        return {}

    async def finished() -> None:
        while source is None or not source.finished:  # noqa: ASYNC110  it ends on the engine's thread
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)  # what was read last is still on its way

    left, played = asyncio.ensure_future(mine.left()), asyncio.ensure_future(finished())
    asked = asyncio.ensure_future(interrupted.wait())
    await asyncio.wait((left, played, asked), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in (left, played, asked):
        wait.cancel()
    heard = {user: round(long, 1) for user, long in mine.heard_seconds().items()}
    await mine.leave()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2.0):  # the server says what became of the call
            await client.state.until(lambda state: ring.cid not in state.rings.rings)
    return heard


async def _hang_up(client: Client, ring: Ring, reason: str) -> None:
    with contextlib.suppress(GreenroomError, TimeoutError):  # over already is what was wanted
        await client.cancel_ring(ring, reason=reason)
        await asyncio.wait_for(_until_answered(client, ring.id), 2.0)


async def _first(work: Awaitable[T], interrupted: asyncio.Event, timeout: float | None) -> T | None:
    """Return what `work` returns, or None when Ctrl-C or the timeout came first."""
    task = asyncio.ensure_future(work)
    asked = asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait((task, asked), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        asked.cancel()


@contextlib.contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    """Yield what is set by Ctrl-C."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    try:
        yield asked
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _lines(client: Client, json: bool) -> Iterator[None]:
    """Print what happens, as it happens."""
    said = 0

    def tell(state: ClientState) -> None:
        nonlocal said
        for line in state.log[said:]:
            say(line.text)
        said = len(state.log)

    if json:
        yield
        return
    with client.state.subscribe(tell):
        yield


def _report(client: Client, ring: Ring, heard: dict[UserId, float], json: bool, interrupted: bool) -> None:
    if json:
        _say_over(client, ring, heard)
    else:
        for user, long in heard.items():
            say(f"heard {user} for {long:g} s")
    if interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if ring.connected_at is None:
        if not json:
            say_error(end_words(ring, client.state.value.user))
        raise typer.Exit(Exit.REFUSED)


def _say_over(client: Client, ring: Ring, heard: dict[UserId, float]) -> None:
    say_json(
        {
            "room": ring.cid,
            "by": ring.by,
            "outcome": ring.outcome or (EndReason.ENDED if ring.connected_at is not None else None),
            "words": end_words(ring, client.state.value.user) if ring.over else "",
            "people": {rung.user: rung.answer for rung in ring.rung},
            "reason": ring.reason,
            "seconds": round(ring.duration_seconds, 1),
            "heard_seconds": heard,
        }
    )


def _tell_connection(phase: ConnectionPhase) -> None:
    if phase is ConnectionPhase.RECONNECTING:
        say_error("the connection is lost; trying again …")
