"""Text that people typed, made safe once at the edge of the model."""

from __future__ import annotations

import unicodedata

NAME_COLUMNS = 32
TITLE_COLUMNS = 80
MESSAGE_CHARACTERS = 2_000
_MARKS_IN_A_ROW = 3
# Bidirectional marks and overrides, zero-width and invisible operators, the byte-order mark, annotations and tags:
# each can make a line read as something it is not (Unicode TR 36, section 2.5).
_INVISIBLE = {
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0x061C,
    0x00AD,
    0x034F,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x180E,
    0x3164,
    0xFEFF,
    0xFFA0,
    *range(0xFFF9, 0xFFFC),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
}
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINER = "\u200d"  # kept between emoji only, where it makes one picture of several


def columns(text: str) -> int:
    """Return how many terminal columns `text` needs: two for wide characters, none for combining marks."""
    return sum(_columns(character) for character in text)


def clip(text: str, width: int, ellipsis: str = "…") -> str:
    """Return `text` cut to at most `width` columns, ending in `ellipsis` when something was cut."""
    if columns(text) <= width:
        return text
    kept, used = [], columns(ellipsis)
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + ellipsis if width > 0 else ""


def safe_text(text: str, max_columns: int = NAME_COLUMNS) -> str:
    """Return `text` on one line, without anything that could act on a terminal or mislead a reader.

    Normalised to NFC; control, format, private and unassigned characters, lone surrogates and bidirectional
    overrides are dropped; white space becomes single spaces; at most three combining marks follow a character;
    cut to `max_columns` terminal columns. May be empty.
    """
    return clip(" ".join(_safe(text, keep_lines=False).split()), max_columns)


def safe_message(text: str, max_characters: int = MESSAGE_CHARACTERS) -> str:
    """Return `text` as `safe_text` does, but keep line breaks and cut by characters."""
    lines = (" ".join(line.split()) for line in _safe(text, keep_lines=True).split("\n"))
    return "\n".join(lines).strip()[:max_characters]


def _safe(text: str, *, keep_lines: bool) -> str:
    kept: list[str] = []
    marks = 0
    # An attacker's megabyte must not cost a second of normalisation; nothing we show is longer than this.
    for character in unicodedata.normalize("NFC", text[: 4 * MESSAGE_CHARACTERS].replace("\r\n", "\n")):
        if character == "\n" and keep_lines:
            kept.append(character)
            marks = 0
            continue
        if character.isspace():
            kept.append(" ")
            marks = 0
            continue
        category = unicodedata.category(character)
        if character == _JOINER and kept and unicodedata.category(kept[-1]) == "So":
            kept.append(character)
            continue
        if category in _UNPRINTABLE or ord(character) in _INVISIBLE:
            continue
        if category in ("Mn", "Me", "Mc"):
            marks += 1
            if marks > _MARKS_IN_A_ROW or not kept:
                continue
        else:
            marks = 0
        kept.append(character)
    return "".join(kept).removesuffix(_JOINER)


def _columns(character: str) -> int:
    if character == _JOINER or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
