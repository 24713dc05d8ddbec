"""Three palettes: dark, light, high contrast. A look is never the only sign of anything."""

from __future__ import annotations

from textual.theme import Theme

from greenroom.errors import Malformed

DARK = Theme(
    name="greenroom-dark",
    primary="#7cc9a2",
    secondary="#8fb8de",
    accent="#8fb8de",
    success="#7cc9a2",
    warning="#e3b76b",
    error="#ea8074",
    foreground="#d5ddd9",
    background="#0f1413",
    surface="#151b1a",
    panel="#222b29",
    dark=True,
    variables={
        "dim": "#86938e",
        "strong": "#f2f6f4",
        "rule": "#34413d",
        "track": "#2c3734",
        "cursor": "#1f3a30",
        "meter-hot": "#ea8074",
    },
)
LIGHT = Theme(
    name="greenroom-light",
    primary="#14693f",
    secondary="#2b5f92",
    accent="#2b5f92",
    success="#14693f",
    warning="#865600",
    error="#ad2a1f",
    foreground="#25302b",
    background="#f7f8f5",
    surface="#eef1ec",
    panel="#e1e6df",
    dark=False,
    variables={
        "dim": "#5b6861",
        "strong": "#0b120f",
        "rule": "#b9c3bc",
        "track": "#c9d2cb",
        "cursor": "#cfe6d8",
        "meter-hot": "#ad2a1f",
    },
)
CONTRAST = Theme(
    name="greenroom-contrast",
    primary="#00ff9c",
    secondary="#6fd3ff",
    accent="#6fd3ff",
    success="#00ff9c",
    warning="#ffe14d",
    error="#ff9a9a",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    dark=True,
    variables={
        "dim": "#d0d0d0",
        "strong": "#ffffff",
        "rule": "#ffffff",
        "track": "#808080",
        "cursor": "#004a8f",
        "meter-hot": "#ff9a9a",
    },
)
THEMES = (DARK, LIGHT, CONTRAST)


def theme_named(name: str) -> Theme:
    """Return the theme of this name. Raises `Malformed` and names those there are."""
    for theme in THEMES:
        if theme.name == name:
            return theme
    raise Malformed(f"there is no theme '{name[:40]}'; there are {', '.join(theme.name for theme in THEMES)}")
