"""What a command prints: words for people, one JSON document for programs; and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec

from greenroom import errors
from greenroom.protocol.text import clip, columns


class Exit(IntEnum):
    """Exit codes; 2 is also what a wrong option gives."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORIZED = 4
    REFUSED = 5
    INTERRUPTED = 130


_CODES: Sequence[tuple[type[errors.GreenroomError], Exit]] = (
    (errors.Unreachable, Exit.UNREACHABLE),
    (errors.Unauthorized, Exit.UNAUTHORIZED),
    (errors.Refused, Exit.REFUSED),
    (errors.SetUpIncomplete, Exit.USAGE),
    (errors.Malformed, Exit.USAGE),
)


def exit_code(error: errors.GreenroomError) -> Exit:
    """Return the exit code for what went wrong."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILED)


def say(text: str = "") -> None:
    """Print a line for people."""
    print(text, flush=True)


def say_error(text: str) -> None:
    """Print a line to standard error."""
    print(f"greenroom: {text}", file=sys.stderr, flush=True)


def say_json(value: Any) -> None:
    """Print `value` as one line of JSON."""
    print(msgspec.json.encode(value).decode(), flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int = 120) -> str:
    """Return `rows` under `head` in columns, the last one cut to `width` terminal columns."""
    wide = [max(columns(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [cell + " " * (space - columns(cell)) for cell, space in zip(row, wide, strict=True)]
        lines.append(clip("  ".join(cells).rstrip(), width))
    return "\n".join(lines)
