"""Grouped commits: what was decided while the last commit ran is the next transaction. One writer task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from greenroom.errors import StorageFailed
from greenroom.storage.base import Repository, RowChange

MAX_GROUP_CHANGES = 5_000
MAX_WAITING_CHANGES = 100_000
MAX_JOURNAL_CHANGES = 20_000
JOURNAL_EVERY_SECONDS = 0.25
JOURNAL_ATTEMPTS = (
    240  # a minute of a full disk; what the store refuses for another reason must not stay in the way
)


class Writer:
    """The only one that writes to `repository`. `start` before use.

    `commit` waits until its changes are kept. `journal` does not wait: what it is given follows within a quarter of
    a second, after everything that was to be committed; when the store cannot keep it, the oldest is forgotten.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._waiting: deque[tuple[Sequence[RowChange], asyncio.Future[None]]] = deque()
        self._waiting_changes = 0
        self._journal: deque[RowChange] = deque(maxlen=MAX_JOURNAL_CHANGES)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._journal_failures = 0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="storage writer")

    async def close(self) -> None:
        """Write what is waiting, then stop; twice is quiet."""
        task, self._task = self._task, None
        self._closing = True
        self._wake.set()
        if task is not None:
            await task

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """Return when all of `changes` are kept; raises `StorageFailed` when none is."""
        if not changes:
            return
        if self._closing or self._waiting_changes + len(changes) > MAX_WAITING_CHANGES:
            raise StorageFailed("the database cannot take more right now; try again in a moment")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        self._waiting_changes += len(changes)
        self._wake.set()
        await done

    def journal(self, *changes: RowChange) -> None:
        """Keep `changes` some time soon."""
        if not self._journal:
            self._wake.set()
        self._journal.extend(changes)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            while self._waiting:
                await self._write_group()
                if self._journal and loop.time() >= due:
                    await self._write_journal()  # however busy it is, the journal does not wait for long
                    due = loop.time() + JOURNAL_EVERY_SECONDS
            if self._journal and (self._closing or loop.time() >= due):
                await self._write_journal()
                due = loop.time() + JOURNAL_EVERY_SECONDS
            elif self._closing and not self._journal:
                return
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), due - loop.time() if self._journal else None)
                self._wake.clear()

    async def _write_group(self) -> None:
        group: list[tuple[Sequence[RowChange], asyncio.Future[None]]] = []
        size = 0
        while self._waiting and (not group or size + len(self._waiting[0][0]) <= MAX_GROUP_CHANGES):
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        self._waiting_changes -= size
        try:
            await self._repository.commit([change for changes, _ in group for change in changes])
        except StorageFailed as error:
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
            return
        for _, done in group:
            if not done.done():
                done.set_result(None)

    async def _write_journal(self) -> None:
        entries = [self._journal.popleft() for _ in range(min(len(self._journal), MAX_GROUP_CHANGES))]
        try:
            await self._repository.commit(entries)
        except StorageFailed:
            self._journal_failures += 1
            room = MAX_JOURNAL_CHANGES - len(self._journal)
            if not self._closing and room and self._journal_failures % JOURNAL_ATTEMPTS:
                self._journal.extendleft(reversed(entries[-room:]))
            return
        self._journal_failures = 0
