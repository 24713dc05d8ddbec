"""Every action in the command palette, by the words of the same tables as the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from greenroom.views.actions import label_of
from greenroom_tui.screens.base import RoomsideScreen
from greenroom_tui.shortcuts import EVERYWHERE


class Command(NamedTuple):
    """What is read, what it does, how it is explained."""

    label: str
    take: Callable[[], None]
    help: str


class Commands(Provider):
    """What can be done on the screen below; what is not possible now comes last and says so."""

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(Content(command.label), command.take, text=command.label, help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            score = matcher.match(command.label)
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(command.label),
                    command.take,
                    text=command.label,
                    help=command.help,
                )

    def _commands(self) -> Iterator[Command]:
        screen = self.screen
        if not isinstance(screen, RoomsideScreen):
            return
        later: list[Command] = []
        call = screen.subject()
        if call is not None:
            for action in screen.actions():
                now = screen.possible(action)
                words = f"{action.help}  ·  {action.key}" + ("" if now else "  (not now)")
                command = Command(label_of(action, call), partial(screen.take, action), words)
                if now:
                    yield command
                else:
                    later.append(command)
        for doing in screen.dashboard.calls.doings(screen.call_in_question):
            words = f"{doing.help}  ·  {doing.key}" + ("" if doing.now else "  (not now)")
            command = Command(doing.label, doing.take, words)
            if doing.now:
                yield command
            else:
                later.append(command)
        for shortcut in (*screen.SHORTCUTS, *EVERYWHERE):
            if shortcut.method not in ("palette", "next_list"):
                words = f"{shortcut.help}  ·  {shortcut.key}"
                yield Command(shortcut.label, partial(screen.take_shortcut, shortcut), words)
        yield from later
