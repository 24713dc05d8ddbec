"""Whatever people type, what is shown is inert."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.text import MESSAGE_CHARACTERS, clip, columns, safe_message, safe_text


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Ada", "Ada"),
        ("  Ada \t Lovelace\n", "Ada Lovelace"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x9b31m", "31m"),
        ("abc\u202edef", "abcdef"),
        ("a\u0300\u0300\u0300\u0300\u0300b", "à" + "\u0300" * 3 + "b"),
        ("名" * 40, "名" * 15 + "…"),
        ("\u200b\u2066\ufeff", ""),
        ("\ud800", ""),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
    ],
)
def test_names_come_out_on_one_safe_line(typed: str, shown: str) -> None:
    assert safe_text(typed) == shown


@given(st.text(max_size=300))
def test_nothing_that_acts_on_a_terminal_gets_through(typed: str) -> None:
    for shown in (safe_text(typed), safe_message(typed).replace("\n", "")):
        assert all(unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn") for character in shown)
        assert not any(
            "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069" for character in shown
        )
    assert columns(safe_text(typed)) <= 32
    assert len(safe_message(typed)) <= MESSAGE_CHARACTERS
    assert safe_text(safe_text(typed)) == safe_text(typed)


def test_every_code_point_alone_is_safe_or_gone() -> None:
    for code in range(0x110000):
        shown = safe_text(chr(code) + "x")
        assert not any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in shown)


def test_a_name_of_ten_thousand_marks_is_short_and_cheap() -> None:
    assert len(safe_text("a" + "\u0301" * 10_000)) <= 5


def test_clipping_counts_wide_characters_as_two() -> None:
    assert clip("名前名前", 5) == "名前…"
