"""`greenroom netsim`: a bad network before any UDP address, changed while it runs by lines on standard input."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from greenroom.cli.output import say, say_error, say_json
from greenroom.errors import Malformed, SetUpIncomplete

if TYPE_CHECKING:
    from greenroom.lab.netsim import UdpRelay
    from greenroom.lab.weather import Weather

Json = Annotated[bool, typer.Option("--json", help="Print the counts as one line of JSON at the end.")]


def netsim(
    to: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where datagrams go.")],
    listen: Annotated[int, typer.Option(min=0, max=65535, help="The port to take; 0 is any free one.")] = 0,
    loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share that is lost.")] = 0.0,
    burst: Annotated[float, typer.Option(min=1.0, max=1000.0, help="Mean length of a run of loss.")] = 1.0,
    delay_ms: Annotated[float, typer.Option(min=0.0, max=10_000.0, help="Delay of each.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(min=0.0, max=10_000.0, help="Most that is added to it.")] = 0.0,
    reorder: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share that others overtake.")] = 0.0,
    repeat: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share that arrives twice.")] = 0.0,
    rate_kbps: Annotated[float, typer.Option(min=0.0, help="What passes in a second; 0 is no limit.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed, other luck.")] = 1,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after this long.")] = None,
    json: Json = False,
) -> None:
    """Stand between clients and a UDP address and be a bad network, in both directions, the same way for the same seed.

    While it runs, a line on standard input changes the weather: `loss 0.2`, `delay-ms 80`, `address` (the server sees
    clients at another address), `clear`.
    """
    from greenroom.lab.weather import Weather

    host, _, port = to.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Malformed(f"'{to[:80]}' is no address of the form HOST:PORT")
    weather = Weather(
        loss=loss,
        burst=burst,
        delay_seconds=delay_ms / 1000.0,
        jitter_seconds=jitter_ms / 1000.0,
        reorder=reorder,
        repeat=repeat,
        rate_bits=rate_kbps * 1000.0,
    )
    asyncio.run(_run(host, int(port), listen, weather, seed, seconds, json))


async def _run(
    host: str, port: int, listen: int, weather: Weather, seed: int, seconds: float | None, json: bool
) -> None:
    from greenroom.lab.netsim import UdpRelay

    relay = UdpRelay(host, port, up=weather, down=weather, seed=seed, listen=listen)
    try:
        await relay.__aenter__()
    except OSError:
        raise SetUpIncomplete(f"port {listen} is in use; take another with --listen") from None
    try:
        say_error(f"127.0.0.1:{relay.port} leads to {host}:{port}; Ctrl-C ends it")
        if not json:
            say(str(relay.port))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _obey(relay)
    finally:
        await relay.__aexit__(None, None, None)
        if json:
            say_json(
                {
                    way: {"passed": counts.passed, "lost": counts.lost}
                    for way, counts in (("up", relay.up), ("down", relay.down))
                }
            )


async def _obey(relay: UdpRelay) -> None:
    """Take lines from standard input for as long as there are any, then wait."""
    from greenroom.lab.weather import CLEAR

    lines = asyncio.StreamReader()
    with contextlib.suppress(ValueError, OSError):  # what is no pipe and no terminal says nothing
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while line := (await lines.readline()).decode("utf-8", "replace").split():
            if line == ["address"]:
                await relay.change_address()
            elif line == ["clear"]:
                relay.change(up=CLEAR, down=CLEAR)
            else:
                _change(relay, line)
    await asyncio.get_running_loop().create_future()


def _change(relay: UdpRelay, line: list[str]) -> None:
    try:
        name, value = line[0], float(line[1])
        field, factor = _FIELDS[name]
        weather = msgspec.structs.replace(relay.up.weather, **{field: value * factor})
    except (IndexError, KeyError, ValueError) as error:
        reason = (
            str(error) if isinstance(error, ValueError) else f"say one of {', '.join(_FIELDS)} and a number"
        )
        say_error(f"that changes nothing: {reason}")
        return
    relay.change(up=weather, down=weather)


_FIELDS = {
    "loss": ("loss", 1.0),
    "burst": ("burst", 1.0),
    "delay-ms": ("delay_seconds", 0.001),
    "jitter-ms": ("jitter_seconds", 0.001),
    "reorder": ("reorder", 1.0),
    "repeat": ("repeat", 1.0),
    "rate-kbps": ("rate_bits", 1000.0),
}
