"""The commands `history` and `url` on a real server."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenroom.cli.history import _moment
from greenroom.cli.main import app
from greenroom.cli.output import exit_code
from greenroom.engine.client import Client
from greenroom.errors import GreenroomError, Malformed, Refused
from greenroom.protocol.ids import UserId
from greenroom.protocol.records import Direction, RecordStatus
from greenroom.server.tokens import load_keys, mint
from tests.cli.program import Place, Ran, served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(tmp_path_factory.mktemp("place")) as ready:
        yield ready


def ran(place: Place, *arguments: str, name: str = "Ada") -> Ran:
    """Return what a command says, in this process: the many of this page need not load everything anew."""
    result = CliRunner().invoke(app, arguments, env=place.environment(name))
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        assert isinstance(error, GreenroomError), error
        return Ran(exit_code(error), result.stdout, str(error))
    return Ran(result.exit_code, result.stdout, result.stderr)


def token(place: Place, user: str) -> str:
    return mint(load_keys(place.folder / "data" / "secret"), UserId(user), time.time(), seconds=600.0).token


async def test_history_is_for_people_programs_and_spreadsheets(place: Place, tmp_path: Path) -> None:
    async with Client(place.server, token=token(place, "ada")) as ada:
        for number, status in enumerate(("ended", "missed", "failed")):
            made = await ada.record_call(
                "call-1",
                status=status,
                duration_seconds=60.0 * number,
                title="=1+1",
                people=["bo"],
                key=str(number),
            )
            assert made.by_hand
        page = await ada.call_history(statuses=["missed"], direction="outgoing", limit=1)
        assert [record.status for record in page.records] == [RecordStatus.MISSED]
        assert (await ada.call_history(direction=Direction.INCOMING)).records == ()
        with pytest.raises(Malformed, match="is none of"):
            await ada.call_history(kinds=["telegraph"])
        with pytest.raises(Refused):
            await ada.call_history(everyone=True)
    shown = await asyncio.to_thread(place.run, "history")
    assert shown.code == 0, shown.err
    assert "bo" in shown.out
    assert "missed (by hand)" in shown.out
    as_json = await asyncio.to_thread(ran, place, "history", "--json", "--status", "ended", "--with", "bo")
    assert [record["status"] for record in as_json.json] == ["ended"]
    file = tmp_path / "calls.csv"
    saved = await asyncio.to_thread(ran, place, "history", "--csv", str(file), "--everyone")
    assert saved.code == 0, saved.err
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [row["title"] for row in rows] == ["'=1+1"] * 3
    others = await asyncio.to_thread(ran, place, "history", name="Bo")
    assert "no calls" in others.out
    wrong = await asyncio.to_thread(place.run, "history", "--since", "yesterday-ish")
    assert (wrong.code, "Traceback" in wrong.err) == (2, False)


def test_links_are_made_listed_and_taken_back_without_showing_their_secret(place: Place) -> None:
    with Client(place.server, token=token(place, "ada")) as ada:
        ada.blocking.create("standup", backstage=False)
    made = ran(place, "url", "room", "standup", "--role", "speaker", "--uses", "3", "--json").json["url"]
    assert made.startswith(f"{place.server}/r/audio_room:standup#u=")
    call = ran(place, "url", "call").out.strip()
    assert call.startswith(f"{place.server}/call#u=")
    listed = ran(place, "url", "list")
    assert "0 of 3" in listed.out
    assert "a call to ada" in listed.out
    assert made.partition("#u=")[2] not in listed.out
    id = next(one["id"] for one in ran(place, "url", "list", "--json").json if one["kind"] == "room")
    assert "opens nothing" in ran(place, "url", "revoke", id).out
    assert id not in ran(place, "url", "list").out
    assert ran(place, "url", "revoke", "nonsense").code == 5
    assert ran(place, "url", "room", "nowhere").code == 5


@pytest.mark.parametrize("text", ["", "x", "7y", "2026-13-01", "99999999d", "0001-01-01T00:00:00+24:00"])
def test_a_time_nobody_can_read_is_refused_in_words(text: str) -> None:
    with pytest.raises(Malformed, match="takes a day or a time"):
        _moment(text, datetime(2026, 11, 21), "--since")
