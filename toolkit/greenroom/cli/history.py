"""The command `history`: which calls there were, for people, programs and spreadsheets."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from greenroom.cli import access
from greenroom.cli.config import resolve
from greenroom.cli.output import say, say_json, table
from greenroom.errors import GreenroomError, Malformed
from greenroom.protocol.ids import ADMIN, UserId, parse_user
from greenroom.protocol.records import MAX_PAGE, CallRecord
from greenroom.views.history import history_csv, history_rows

MAX_EXPORTED = 1_000_000


def history(
    since: Annotated[
        str | None,
        typer.Option(help="From this day or time on: 2026-11-21, 2026-11-21T09:30, today, 7d, 12h."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this day or time.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="audio, video, p2p, group or room; may be repeated.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="initiated, calling, answered, declined, cancelled, missed, ended or failed; may be repeated."
        ),
    ] = None,
    with_: Annotated[str | None, typer.Option("--with", metavar="USER", help="Only calls with USER.")] = None,
    direction: Annotated[str | None, typer.Option(help="incoming or outgoing.")] = None,
    room: Annotated[str | None, typer.Option(help="Only calls in this room.")] = None,
    user: Annotated[str | None, typer.Option(help="Whose calls; yours without. For admins.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Everybody's calls. For admins.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MAX_EXPORTED, help="How many, newest first.")] = 30,
    csv: Annotated[
        Path | None, typer.Option(help="Write them all to this CSV file; - is the output.", dir_okay=False)
    ] = None,
    server: Annotated[str | None, typer.Option("--server", help="Address of the server.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show which calls there were, who took part, what became of them and for how long people talked."""
    if user is not None and everyone:
        raise Malformed("--user and --everyone both say whose calls; choose one")
    if csv is not None and json:
        raise Malformed("--csv and --json both say how; choose one")
    now = datetime.now()
    begin, end = _moment(since, now, "--since"), _moment(until, now, "--until")
    config = resolve({"server": server}).config
    of = parse_user(user) if user is not None else None
    if of is None and not everyone and not config.token:
        of = access.user_of(config.name)  # this machine's admin asks for us, so that our dashboard stays in
    wanted = MAX_EXPORTED if csv is not None else limit

    async def ask() -> tuple[list[CallRecord], UserId]:
        async with access.client(config, role=ADMIN) as client:
            found: list[CallRecord] = []
            after: str | None = None
            while len(found) < wanted:
                page = await client.call_history(
                    since=begin,
                    until=end,
                    kinds=kind or (),
                    statuses=status or (),
                    participant=with_,
                    direction=direction,
                    room=room,
                    of=of,
                    everyone=everyone,
                    limit=min(MAX_PAGE, wanted - len(found)),
                    after=after,
                )
                found += page.records
                after = page.older
                if after is None:
                    break
            return found, of or client.state.value.user

    access.require_server(config)
    try:
        records, me = asyncio.run(ask())
    except GreenroomError as error:
        raise access.with_advice(error, config) from error
    if csv is not None:
        _write(csv, records, None if everyone else me)
    elif json:
        say_json(records)
    elif not records:
        say("no calls" if since is None and not kind and not status else "no calls that fit")
    else:
        rows = history_rows(
            records, me, time.time(), lambda at: f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"
        )
        head = ("when", "", "who", "kind", "became", "long", "room", "reason")
        shown = [
            (
                row.when,
                row.arrow,
                row.who,
                row.kind,
                f"{row.mark} {row.status}",
                row.long,
                row.room,
                row.reason,
            )
            for row in rows
        ]
        say(table(head, shown, width=_width()))


def _moment(text: str | None, now: datetime, option: str) -> datetime | None:
    """Return the local time that `text` names. Raises `Malformed` for what names none."""
    if text is None:
        return None
    if text == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0)
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if text[:-1].isdecimal() and text[-1] in units and len(text) < 8:
        return now - timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        found = datetime.fromisoformat(text)
        found.timestamp()
    except (ValueError, OverflowError, OSError):
        raise Malformed(
            f"{option} takes a day or a time, such as 2026-11-21, 2026-11-21T09:30, today or 7d; not {text[:40]!a}"
        ) from None
    return found


def _write(file: Path, records: list[CallRecord], me: UserId | None) -> None:
    if str(file) == "-":
        print("".join(history_csv(records, me)), end="", flush=True)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as written:
            written.writelines(history_csv(records, me))
    except OSError as error:
        raise GreenroomError(f"cannot write {file}: {error.strerror}") from None
    say(f"wrote {len(records)} {'call' if len(records) == 1 else 'calls'} to {file}")


def _width() -> int:
    try:
        return max(80, os.get_terminal_size().columns)
    except OSError:
        return 160  # a pipe: whoever reads it cuts by themselves
