"""The command `url`: addresses that open a room or call somebody, for people without an account."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from greenroom.cli import access
from greenroom.cli.config import resolve
from greenroom.cli.output import say, say_json, table
from greenroom.errors import GreenroomError
from greenroom.protocol.call_urls import UrlInfo
from greenroom.protocol.ids import ADMIN, ANONYMOUS
from greenroom.views.urls import url_rows

if TYPE_CHECKING:
    from greenroom.engine.client import Client

T = TypeVar("T")
url_app = typer.Typer(
    help="Links that open a room or call somebody, for people without an account.", rich_markup_mode=None
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="Address of the server.")]
UsesOption = Annotated[int, typer.Option(min=1, max=10_000, help="For how many people.")]
HoursOption = Annotated[float, typer.Option(min=1 / 60, max=720.0, help="For how many hours.")]
CalledOption = Annotated[str, typer.Option("--called", help="What they are called; they say it without.")]


@url_app.command("room")
def url_room(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="The room: an id, or type:id.")],
    role: Annotated[
        str, typer.Option(help="anonymous (listens), guest, or a role of the room: call-member, speaker …")
    ] = ANONYMOUS,
    uses: UsesOption = 1,
    hours: HoursOption = 24.0,
    called: CalledOption = "",
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """Print a link that lets somebody into a room. Whoever has it may use it."""

    async def ask(client: Client) -> str:
        return await client.room_url(room, role=role, name=called, uses=uses, seconds=hours * 3600.0)

    _print(_as_admin(ask, server), json)


@url_app.command("call")
def url_call(
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="Who is called; you without.")] = None,
    room: Annotated[
        str | None, typer.Option(help="The room of such calls; each has one of its own without.")
    ] = None,
    uses: UsesOption = 1,
    hours: HoursOption = 24.0,
    called: CalledOption = "",
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """Print a link that calls somebody. Whoever has it may use it."""

    config = resolve({"server": server}).config

    async def ask(client: Client) -> str:
        to = user or (client.state.value.user if config.token else access.user_of(config.name))
        return await client.call_url(to, room=room, name=called, uses=uses, seconds=hours * 3600.0)

    _print(_as_admin(ask, server), json)


@url_app.command("list")
def url_list(
    every: Annotated[bool, typer.Option("--all", help="Those that open nothing any more, too.")] = False,
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """List the links that were made, without their secrets."""

    async def ask(client: Client) -> list[UrlInfo]:
        found: list[UrlInfo] = []
        after: str | None = None
        while True:
            page = await client.urls(limit=100, after=after)
            found += page.urls
            after = page.next
            if after is None:
                return found

    found = _as_admin(ask, server)
    now = time.time()
    rows = url_rows(found, now)
    if not every:
        rows = tuple(row for row in rows if row.is_open)
    if json:
        shown = {row.id for row in rows}
        say_json([info for info in found if info.id in shown])
        return
    if not rows:
        say("no links; make one: greenroom url room ROOM")
        return
    head = ("id", "opens", "as", "used", "until", "made by", "state")
    say(table(head, [(r.id, r.opens, r.role, r.used, r.until, r.by, r.state) for r in rows]))


@url_app.command("revoke")
def url_revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as in the list.")],
    server: ServerOption = None,
) -> None:
    """Let a link open nothing more. Who came by it already stays."""

    async def ask(client: Client) -> UrlInfo:
        return await client.revoke_url(id)

    info = _as_admin(ask, server)
    say(f"{info.id} opens nothing any more; it was used {info.used} of {info.uses} times")


def _print(address: str, json: bool) -> None:
    if json:
        say_json({"url": address})
    else:
        say(address)


def _as_admin(ask: Callable[[Client], Awaitable[T]], server: str | None) -> T:
    """Ask as this machine's admin, so that nobody's dashboard is pushed out, or with the token that is configured."""
    config = resolve({"server": server}).config

    async def main() -> T:
        async with access.client(config, role=ADMIN) as client:
            return await ask(client)

    access.require_server(config)
    try:
        return asyncio.run(main())
    except GreenroomError as error:
        raise access.with_advice(error, config) from error
