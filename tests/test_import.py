"""Importing the package is cheap, and everything it promises is there."""

from __future__ import annotations

import subprocess
import sys

import greenroom

HEAVY = ("aiortc", "aiohttp", "numpy", "av", "textual", "sqlalchemy", "ipywidgets", "sounddevice")


def test_importing_greenroom_loads_nothing_heavy() -> None:
    code = f"import greenroom, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_promised_name_can_be_used() -> None:
    assert {name for name in greenroom.__all__ if getattr(greenroom, name).__name__ != name} == set()
    assert set(greenroom.__all__) == set(greenroom._HOME)
