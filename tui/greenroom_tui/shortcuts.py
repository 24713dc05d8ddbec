"""The keys of the dashboard itself. What a person can do in a room is in `greenroom.views.actions`."""

from __future__ import annotations

from typing import NamedTuple


class Shortcut(NamedTuple):
    """A key, what it is called, and the method of app or screen that answers it."""

    key: str
    label: str
    help: str
    method: str


LOBBY: tuple[Shortcut, ...] = (
    Shortcut("Enter", "Go in", "Go into the chosen room", "enter_room"),
    Shortcut("n", "New room", "Open a room, or enter it if it is there", "new_room"),
    Shortcut("j", "Join by id", "Enter a room by its id", "join_by_id"),
)
ROOM: tuple[Shortcut, ...] = (
    Shortcut("Tab", "Next list", "Go to the next list: stage, hands, audience, chat, log", "next_list"),
    Shortcut("h", "Lobby", "Look at the other rooms; this one goes on", "lobby"),
    Shortcut("Q", "Link", "Show the link of this room and its QR code", "share"),
)
SOUND: tuple[Shortcut, ...] = (
    Shortcut("Enter", "Use", "Use the chosen microphone or loudspeaker", "use_device"),
    Shortcut("k", "Level check", "Listen to the microphone for its level, or stop", "check_level"),
    Shortcut("t", "Test tone", "Play a soft tone on the loudspeaker", "play_chime"),
    Shortcut("s", "Span", "Show one, five or ten minutes in the charts", "next_span"),
    Shortcut("o", "Whose", "Numbers of the whole call, or of the chosen person", "whose"),
    Shortcut(">", "Next call", "Look at the sound of the next call", "next_call"),
    Shortcut("Tab", "Next list", "Go to the next list: devices, values, people, charts", "next_list"),
    Shortcut("h", "Back", "Go back to where you came from (also Esc)", "back"),
)
EVERYWHERE: tuple[Shortcut, ...] = (
    Shortcut(":", "Commands", "Find a command by its name (also Ctrl+P)", "palette"),
    Shortcut("A", "Sound", "Devices, levels, knobs and numbers of sound", "sound"),
    Shortcut("f", "Colours", "Dark, light, high contrast", "next_theme"),
    Shortcut("?", "Help", "Every key and what it does", "help"),
    Shortcut("q", "Quit", "Leave and close the dashboard", "leave_and_quit"),
)
