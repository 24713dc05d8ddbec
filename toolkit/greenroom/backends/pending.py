"""What was asked and not answered yet, in order, so that it can be asked again after a reconnect."""

from __future__ import annotations

import asyncio

import msgspec

from greenroom.backends.base import refused
from greenroom.errors import Unreachable
from greenroom.protocol.ids import OpId
from greenroom.protocol.requests import Leave
from greenroom.protocol.wire import Answer, AnswerBody, Ask, Attach, Attached, Do, Done, Failed

Outcome = AnswerBody | str | None
"""Of an `Ask`, of an `Attach`, of a `Do`."""


class _Waiting(msgspec.Struct):
    message: Do | Ask | Attach
    answered: asyncio.Future[Outcome]


class Pending:
    """Requests by operation. An operation keeps its id however often it is sent, so it has one effect."""

    def __init__(self) -> None:
        self._waiting: dict[OpId, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: Do | Ask | Attach) -> asyncio.Future[Outcome]:
        """Keep `message` until it is answered, and return its outcome to be."""
        answered: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[message.op] = _Waiting(message, answered)
        return answered

    def drop(self, op: OpId) -> None:
        """Wait no more for `op`; an unknown one is quiet."""
        self._waiting.pop(op, None)

    def answer(self, message: Done | Failed | Answer | Attached) -> Do | Ask | Attach | None:
        """Settle what `message` answers, and return that; None when nobody waits for it."""
        waiting = self._waiting.pop(message.op, None)
        if waiting is None:
            return None
        if not waiting.answered.done():
            match message:
                case Done():
                    waiting.answered.set_result(None)
                case Failed(_, refusal):
                    waiting.answered.set_exception(refused(refusal))
                case Answer(_, body):
                    waiting.answered.set_result(body)
                case Attached(_, _, answer):
                    waiting.answered.set_result(answer)
        return waiting.message

    def to_send_again(self) -> tuple[Do | Ask, ...]:
        """Return what is to be sent on a new connection, in order. An offer is not: sound is attached anew."""
        again: list[Do | Ask] = []
        for waiting in tuple(self._waiting.values()):
            if isinstance(waiting.message, Attach):
                del self._waiting[waiting.message.op]
                _fail(waiting.answered, "the connection was lost while sound was being connected")
            else:
                again.append(waiting.message)
        return tuple(again)

    def fail(self, reason: str) -> None:
        """Settle everything with `Unreachable`; what asked to leave has what it wanted."""
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            if isinstance(one.message, Do) and isinstance(one.message.request, Leave):
                if not one.answered.done():
                    one.answered.set_result(None)
            else:
                _fail(one.answered, reason)


def _fail(answered: asyncio.Future[Outcome], reason: str) -> None:
    if not answered.done():
        answered.set_exception(Unreachable(reason))
        answered.exception()  # whoever asked may be gone: that is no error of ours
