"""`greenroom call` and `greenroom answer`, as two people on one machine use them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Place, served

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("calls")
    with served(folder) as place:
        yield place


def test_one_calls_the_other_answers_and_both_hear_how_it_ended(place: Place) -> None:
    with place.running("answer", "--seconds", "0.5", name="Bo") as answering:
        assert answering.stdout is not None
        assert "waiting for a call as Bo (bo)" in answering.stdout.readline()
        called = place.run("call", "bo", "--title", "Plan", name="Ann")
        assert called.code == 0, called.err
        said = answering.stdout.read()
        assert answering.wait(timeout=10) == 0
    assert called.out.splitlines()[:2] == ["calling Bo…", "Bo accepted the call"]
    assert "the call is connected" in called.out
    assert said.splitlines()[0] == "Ann calls you: Plan"
    assert "the call is connected" in said
    assert "the call ended" in called.out
    assert "the call ended" in said


def test_a_call_that_is_not_taken_says_so_to_programs(place: Place) -> None:
    away = place.run("call", "cy", "--timeout", "0.2", "--json", name="Ann")
    assert away.code == 5
    assert away.json["outcome"] == "cancelled"
    assert away.json["people"] == {"cy": "cancelled"}
    assert away.json["words"] == "you hung up: nobody answered in time"


def test_ctrl_c_hangs_up_and_who_was_called_learns_that_they_missed_it(place: Place) -> None:
    with place.running("call", "dora", "eve", name="Ann") as calling:
        assert calling.stdout is not None
        assert calling.stdout.readline().strip() == "calling dora and eve…"
        calling.send_signal(signal.SIGINT)
        out, err = calling.communicate(timeout=10)
        assert calling.returncode == 130
        assert "you hung up" in out
        assert "Traceback" not in err
    missed = place.run("answer", "--timeout", "0.3", name="Eve")
    assert missed.code == 5
    assert "missed call from Ann" in missed.out
    assert "nobody called" in missed.err


def test_who_calls_themselves_is_told_in_words(place: Place) -> None:
    ran = place.run("call", "ada")
    assert ran.code == 5
    assert "you cannot call yourself" in ran.err
    assert "Traceback" not in ran.err
