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
CALLS: tuple[Shortcut, ...] = (
    Shortcut("Enter", "Go there", "Focus the chosen call and go there; take a call that rings", "go_there"),
    Shortcut("o", "Look", "Look at the chosen call; sound stays where it is", "look"),
    Shortcut("h", "Back", "Go back to where you came from (also Esc)", "back"),
)
HISTORY: tuple[Shortcut, ...] = (
    Shortcut("Enter", "Call back", "Call the people of the chosen call, or go into its room", "call_back"),
    Shortcut("t", "Type", "Show all calls, or one type: audio, direct, group, room", "next_kind"),
    Shortcut("d", "Direction", "Show all calls, only incoming, or only outgoing", "next_direction"),
    Shortcut("m", "Missed", "Show only missed calls, or all", "missed_only"),
    Shortcut("p", "Person", "Show only calls with one person, or with all", "person"),
    Shortcut(">", "Older", "Go to the next page, with older calls", "older"),
    Shortcut("<", "Newer", "Go to the page before, with newer calls", "newer"),
    Shortcut("r", "Again", "Ask the server again", "again"),
    Shortcut("h", "Back", "Go back to where you came from (also Esc)", "back"),
)
ANYWHERE: tuple[Shortcut, ...] = (
    Shortcut("F2", "Accept", "Accept the call that rings, also while you write", "answer"),
    Shortcut("F3", "Reject", "Reject the call that rings, at once", "reject_now"),
    Shortcut("F4", "Busy", "Tell whoever calls that you are busy", "busy"),
    Shortcut("F5", "Hang up", "Hang up the call you placed", "hang_up"),
    Shortcut("F6", "Next ringing", "Choose another of several calls that ring", "next_ringing"),
    Shortcut(
        "F7", "Silence", "Silence what rings; when nothing rings: ring aloud, or not at all", "silence_ring"
    ),
    Shortcut("F8", "Stay", "Say that I am still here, before an unused call ends by itself", "stay_in"),
)
"""Keys that work wherever one is, also while writing and under a question."""

EVERYWHERE: tuple[Shortcut, ...] = (
    Shortcut(":", "Commands", "Find a command by its name (also Ctrl+P)", "palette"),
    Shortcut("A", "Sound", "Devices, levels, knobs and numbers of sound", "sound"),
    Shortcut("0", "Calls", "Every call with who has microphone and loudspeaker, and why", "calls"),
    Shortcut("H", "History", "Calls that were: placed, taken, missed; call back", "history"),
    Shortcut("/", "Why?", "Why it is silent, who has the microphone: ask in words", "why"),
    Shortcut("f", "Colours", "Dark, light, high contrast", "next_theme"),
    Shortcut("?", "Help", "Every key and what it does", "help"),
    Shortcut("q", "Quit", "Leave and close the dashboard", "leave_and_quit"),
)
