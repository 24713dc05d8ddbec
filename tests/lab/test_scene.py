"""A scene file is read whole or refused with words that say where and what."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import greenroom.lab
from greenroom.errors import Malformed
from greenroom.lab.expectations import (
    SENTENCES,
    Expectation,
    Focused,
    Hands,
    Hears,
    Live,
    Present,
    Rung,
    Speaks,
    Suspended,
    parse_expectation,
)
from greenroom.lab.scene import Do, parse_scene

BUILT_IN = sorted(Path(greenroom.lab.__file__ or "").parent.glob("scenes/*.scene.toml"))
PEOPLE = {"a", "b"}
ROOM = "audio_room:one"
HEAD = 'title = "t"\npeople = { a = {}, b = {} }\n'


@pytest.mark.parametrize("file", BUILT_IN, ids=lambda file: file.name.split(".")[0])
def test_the_scenes_that_come_with_greenroom_are_whole(file: Path) -> None:
    scene = parse_scene(file.read_text("utf-8"), file.name)
    assert scene.lead == "you"
    assert any(scene.expectations), "a scene that expects nothing proves nothing"
    assert len(scene.expectations) == len(scene.steps)
    assert 5.0 < scene.seconds < 60.0


def test_the_published_samples_are_among_them() -> None:
    assert {file.name.split(".")[0] for file in BUILT_IN} >= {
        "foreground-background",
        "pause-on-incoming",
        "classroom",
    }


@pytest.mark.parametrize(
    ("sentence", "meaning"),
    [
        ("a hears b", Hears("a", "b")),
        ("a does not hear b", Hears("a", "b", False)),
        ("a hears b 12 dB softer", Hears("a", "b", True, 12.0)),
        (f"a speaks in {ROOM}", Speaks("a", ROOM)),
        (f"a does not speak in {ROOM}", Speaks("a", ROOM, False)),
        (f"a is suspended in {ROOM}", Suspended("a", ROOM)),
        (f"a is not suspended in {ROOM}", Suspended("a", ROOM, False)),
        (f"a is in {ROOM}", Present("a", ROOM)),
        (f"a is not in {ROOM}", Present("a", ROOM, False)),
        (f"{ROOM} has hands b a", Hands(ROOM, ("b", "a"))),
        (f"{ROOM} has no hands", Hands(ROOM, ())),
        (f"{ROOM} is live", Live(ROOM)),
        (f"{ROOM} is not live", Live(ROOM, False)),
        ("a is rung by b", Rung("a", "b")),
        ("a is not rung", Rung("a", "", False)),
        (f"a is focused on {ROOM}", Focused("a", ROOM)),
    ],
)
def test_a_sentence_means_what_it_says(sentence: str, meaning: Expectation) -> None:
    assert parse_expectation(sentence, PEOPLE, {ROOM}) == meaning


@pytest.mark.parametrize(
    "sentence", ["", "a hear b", "a hears", "a hears b loudly", "x hears b", f"a is in {ROOM}x"]
)
def test_a_sentence_that_cannot_be_checked_is_refused(sentence: str) -> None:
    with pytest.raises(Malformed):
        parse_expectation(sentence, PEOPLE, {ROOM})


def test_a_refusal_names_what_could_be_written() -> None:
    with pytest.raises(Malformed) as refusal:
        parse_expectation("a heres b", PEOPLE, {ROOM})
    assert all(example in str(refusal.value) for example in SENTENCES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("people", "not a scene"),
        ('title = "t"\npeople = {}\nsteps = []', "1 to 24 people"),
        ('title = "t"\npeople = { "a b" = {} }\nsteps = []', "cannot name a person"),
        (HEAD + 'steps = [{ at = 1, who = "c", do = "speak" }]', "step 1: 'c' is not one of the people"),
        (HEAD + 'steps = [{ at = 1, who = "a", do = "sing" }]', "Invalid enum value 'sing'"),
        (HEAD + 'steps = [{ at = 1, who = "a", do = "join" }]', "needs a room"),
        (HEAD + 'steps = [{ at = 1, who = "a", do = "join", room = "a b" }]', "needs a room"),
        (HEAD + 'steps = [{ at = 1, who = "a", do = "ring" }]', "needs `to`"),
        (HEAD + 'steps = [{ at = 1, who = "a", do = "policy" }]', "needs `words`"),
        (HEAD + "steps = [{ at = 1 }]", "does nothing and expects nothing"),
        (HEAD + 'steps = [{ at = 2, note = "x" }, { at = 1, note = "y" }]', "step 2: 1 s is before"),
        (HEAD + "steps = [{ at = nan, note = 'x' }]", "lasts up to"),
        (HEAD + 'steps = [{ at = -1, note = "x" }]', "lasts up to"),
        (HEAD + "steps = []\nsurprise = 1", "unknown field `surprise`"),
        ('title = "t"\npeople = { a = { speaks = true } }\nsteps = []', "in no room"),
        (HEAD + 'steps = []\nrooms = { "x" = {} }', "cannot name a room"),
        (HEAD + 'steps = []\nrooms = { "audio_room:x" = { roles = { c = "host" } } }', "not in the scene"),
    ],
)
def test_a_file_that_is_no_scene_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(Malformed, match=words.replace("(", r"\(")) as refusal:
        parse_scene(text, "evening.scene.toml")
    assert "evening.scene.toml" in str(refusal.value)


def test_who_speaks_from_the_start_may() -> None:
    text = 'title = "t"\npeople = { a = { in = "audio_room:one", speaks = true } }\nsteps = []'
    assert parse_scene(text).rooms["audio_room:one"].roles == {"a": "speaker"}


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    for whole in (text, HEAD + text):
        try:
            parse_scene(whole)
        except Malformed:
            pass


def test_every_action_is_spelled_once() -> None:
    assert len({str(action) for action in Do}) == len(Do)
