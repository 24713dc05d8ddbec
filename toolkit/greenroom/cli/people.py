"""Commands of people in rooms without a dashboard: join, rooms, hands."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from msgspec.structs import replace

from greenroom.cli import access
from greenroom.cli.config import Config, Origin, Resolved, resolve
from greenroom.cli.output import Exit, say, say_error, say_json, table
from greenroom.cli.sound import InputOption, OutputOption, expect_devices, open_session, volumes_file
from greenroom.errors import GreenroomError, Malformed
from greenroom.policies.audio_config import AudioConfiguration, profile_named
from greenroom.protocol.ids import ADMIN, Cid, UserId, parse_cid
from greenroom.protocol.requests import DenyHand, GrantHand, LowerAllHands, NextHand, Request
from greenroom.state.call import CallState
from greenroom.state.engine import ConnectionPhase
from greenroom.views.audio import audio_report
from greenroom.views.hands import hand_rows
from greenroom.views.rooms import room_rows

if TYPE_CHECKING:
    from greenroom.engine.call import Call
    from greenroom.media.audio_session import AudioSession

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="Address of the server.")]
NameOption = Annotated[str | None, typer.Option("--name", help="What others see.")]
RoomArgument = Annotated[str, typer.Argument(metavar="ROOM", help="The room: an id, or type:id.")]


def join(
    room: RoomArgument,
    server: ServerOption = None,
    name: NameOption = None,
    play: Annotated[
        Path | None, typer.Option(help="Say what is in this audio file.", exists=True, dir_okay=False)
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin the file again when it ends.")] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write what is heard to this WAV file.", dir_okay=False)
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the room unless it is there, and go live.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Leave after this long.")] = None,
    input: InputOption = None,
    output: OutputOption = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="What our sound is made of: broadcaster, conversation, viewer or hi-fi; "
            "or a bitrate: 64k, 128k or 128k-stereo."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Be in a room without a dashboard: listen, speak (--input), play a file, record.

    Without --output the loudspeaker is used in a terminal. Ends with the file, on Ctrl-C or with the room.
    """
    if play is not None and input is not None:
        raise Malformed("--play and --input both say what others hear; choose one")
    if record is not None and output is not None:
        raise Malformed("--record and --output both say where sound goes; choose one")
    audio = None if profile is None else profile_named(profile)
    resolved = resolve({"server": server, "name": name, "input": input, "output": output})
    with contextlib.ExitStack() as stack:
        session = None
        listens = output is not None or (record is None and sys.stdout.isatty())
        if input is not None or listens:
            session = stack.enter_context(
                open_session(resolved, microphone=input is not None, speaker=listens)
            )
        asyncio.run(
            _join(resolved, parse_cid(room), play, loop, record, create, seconds, json, session, audio)
        )


def rooms(
    text: Annotated[str | None, typer.Argument(help="Only rooms with this in their title or id.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only live rooms.")] = False,
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """List the rooms that can be entered, and who is on."""
    config = resolve({"server": server}).config

    async def ask() -> None:
        async with access.client(config, role=ADMIN) as client:
            found = await client.rooms(live=True if live else None, text=text)
            if json:
                say_json(found)
                return
            rows = room_rows(replace(client.state.value, rooms=found), time.time())
            if not rows:
                say("no rooms; make one: greenroom join NAME --create")
                return
            head = ("room", "title", "status", "for", "people", "on stage", "hands")
            say(table(head, [(r.cid, r.title, r.status, r.since, r.people, r.stage, r.hands) for r in rows]))

    _ask(ask, config)


def hands(
    room: RoomArgument,
    grant: Annotated[str | None, typer.Option(metavar="USER", help="Give USER the stage.")] = None,
    deny: Annotated[str | None, typer.Option(metavar="USER", help="Turn USER's hand down.")] = None,
    next_: Annotated[bool, typer.Option("--next", help="Give the stage to whose turn it is.")] = False,
    lower_all: Annotated[bool, typer.Option("--lower-all", help="Empty the queue.")] = False,
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """Show who waits to speak, and answer. Needs a host's token, or to run where the server's secret is."""
    if sum((grant is not None, deny is not None, next_, lower_all)) > 1:
        raise Malformed("--grant, --deny, --next and --lower-all are one answer at a time; choose one")
    config = resolve({"server": server}).config
    cid = parse_cid(room)
    asked: list[Request] = []
    if grant is not None:
        asked.append(GrantHand(UserId(grant)))
    if deny is not None:
        asked.append(DenyHand(UserId(deny)))
    if next_:
        asked.append(NextHand())
    if lower_all:
        asked.append(LowerAllHands())

    async def ask() -> None:
        async with access.client(config, role=ADMIN) as client:
            for request in asked:
                await client.perform(cid, request)
            seen = CallState(cid, client.state.value.user, room=await client.room(cid))
            rows = hand_rows(seen, time.time())
            if json:
                say_json(rows)
            elif rows:
                say(
                    table(
                        ("place", "user", "name", "waits"),
                        [(str(r.position), r.user, r.name, r.waiting) for r in rows],
                    )
                )
            else:
                say("no hand is up")

    _ask(ask, config)


async def _join(
    resolved: Resolved,
    cid: Cid,
    play: Path | None,
    loop: bool,
    record: Path | None,
    create: bool,
    seconds: float | None,
    json: bool,
    session: AudioSession | None,
    audio: AudioConfiguration | None,
) -> None:
    from greenroom.media.files import File
    from greenroom.media.sinks import WavFile

    config = resolved.config
    speaks = play is not None or resolved.origins["input"] is Origin.OPTION
    with contextlib.ExitStack() as stack:
        channels: Literal[1, 2] = 2 if audio is not None and audio.channels == 2 else 1
        source = None if play is None else await asyncio.to_thread(File, play, loop=loop, channels=channels)
        sink = None if record is None else WavFile(record)
        for made in (source, sink):
            if made is not None:
                stack.callback(made.close)
        client = access.client(
            config, source=source, sink=sink, devices=session, volumes=volumes_file(resolved)
        )
        try:
            if session is not None:
                named = resolved.origins["input"] is Origin.OPTION
                await asyncio.to_thread(expect_devices, session, resolved, try_microphone=named)
            async with client:
                stack.enter_context(client.state.subscribe(_tell_connection, lambda state: state.connection))
                call = await client.join(cid, create=create, microphone=False, audio_configuration=audio)
                if create and not (call.state.value.room and call.state.value.room.live):
                    await call.go_live()
                if speaks:
                    await call.set_microphone(True)  # refused in words where this person may not speak
                if not json:
                    say(f"in {cid} as {client.state.value.name or client.state.value.user}; Ctrl-C leaves")
                reason = await _until_over(call, source, seconds)
                numbers = call.state.value.statistics
                sound = audio_report(call.audio_configuration)
                heard = {user: round(long, 1) for user, long in call.heard_seconds().items()}
                cut_off = reason is not None and client.state.value.connection is ConnectionPhase.OFFLINE
        except GreenroomError as error:
            raise access.with_advice(error, config) from error
    if sink is not None and sink.error is not None:
        raise GreenroomError(sink.error)
    concealed = 0.0 if numbers is None else round(numbers.concealed_ratio, 4)
    if json:
        say_json(
            {
                "room": cid,
                "heard_seconds": heard,
                "concealed_ratio": concealed,
                "audio": sound,
                "ended": reason,
            }
        )
        if cut_off:
            raise typer.Exit(Exit.FAILED)
        return
    for user, long in heard.items():
        say(f"heard {user} for {long:g} s")
    say(f"left: {reason}" if reason else "left")
    if cut_off:
        say_error("to be in a room twice from one machine, give each its own --name")
        raise typer.Exit(Exit.FAILED)


def _tell_connection(phase: ConnectionPhase) -> None:
    if phase is ConnectionPhase.RECONNECTING:
        say_error("the connection is lost; trying again …")


async def _until_over(call: Call, source: object, seconds: float | None) -> str | None:
    """Wait for the end of the call, of the file, of the time, or of our patience. Return the room's reason, if any."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)

    async def file_is_over() -> None:
        while not getattr(source, "finished", False):  # noqa: ASYNC110  it ends on the engine's thread
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)  # what was read last is still on its way

    left = asyncio.create_task(call.left())
    waits = [left, asyncio.create_task(asked.wait())]
    if source is not None:
        waits.append(asyncio.create_task(file_is_over()))
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return left.result() if left.done() else None
    finally:
        for wait in waits:
            wait.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _ask(ask: Callable[[], Awaitable[None]], config: Config) -> None:
    async def main() -> None:
        await ask()

    access.require_server(config)
    try:
        asyncio.run(main())
    except GreenroomError as error:
        raise access.with_advice(error, config) from error
