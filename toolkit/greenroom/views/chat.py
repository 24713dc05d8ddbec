"""The chat as rows."""

from __future__ import annotations

import msgspec

from greenroom.protocol.ids import MessageId, UserId
from greenroom.state.call import CallState


class ChatRow(msgspec.Struct, frozen=True):
    """One message; `note` says edited or deleted. `at` is wall-clock seconds."""

    id: MessageId
    user: UserId
    name: str
    text: str
    at: float
    mine: bool
    note: str = ""


def chat_rows(call: CallState) -> tuple[ChatRow, ...]:
    """Return the chat's tail, oldest first. A deleted message keeps its place and loses its words."""
    if call.room is None:
        return ()
    return tuple(
        ChatRow(
            message.id,
            message.user,
            message.name,
            "" if message.deleted_by is not None else message.text,
            message.at,
            message.user == call.me,
            _note(message.user, message.deleted_by, message.edited_at),
        )
        for message in call.room.chat
    )


def _note(author: UserId, deleted_by: UserId | None, edited_at: float | None) -> str:
    if deleted_by is not None:
        return "deleted" if deleted_by == author else "deleted by a moderator"
    return "edited" if edited_at is not None else ""
