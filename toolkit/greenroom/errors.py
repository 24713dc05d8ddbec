"""What can go wrong for a caller, as one tree.

GreenroomError
├── Refused               the room or the server said no to a request
├── Unreachable           the server could not be reached, or stopped answering
├── Malformed             a message or a file is not what it should be
├── Unauthorized          a token is missing, expired or not valid here
├── AudioUnavailable      a device, a file or a codec cannot be used
├── MediaFailed           sound could not be connected
├── StorageFailed         the database could not keep what was decided
├── Misuse                a method was called where it makes no sense
│   └── Ambiguous         several things fit, and none was named
└── SetUpIncomplete       something this needs is not installed or not configured
"""

from __future__ import annotations


class GreenroomError(Exception):
    """The root: catch this to catch everything Greenroom raises on purpose."""


class Refused(GreenroomError):
    """The room or the server said no to a request.

    `reason` is one of `greenroom.protocol.refusals.Reason`; `missing` names the
    capability that would have been needed, `requestable` whether it can be asked for.
    """

    def __init__(
        self, message: str, *, reason: str = "refused", missing: str | None = None, requestable: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.missing = missing
        self.requestable = requestable


class Unreachable(GreenroomError):
    """The server could not be reached, or stopped answering."""


class Malformed(GreenroomError):
    """A message or a file is not what it should be."""


class Unauthorized(GreenroomError):
    """A token is missing, expired or not valid here."""


class AudioUnavailable(GreenroomError):
    """A device, a file or a codec cannot be used."""


class MediaFailed(GreenroomError):
    """Sound could not be connected."""


class StorageFailed(GreenroomError):
    """The database could not keep what was decided."""


class Misuse(GreenroomError):
    """A method was called where it makes no sense."""


class Ambiguous(Misuse):
    """Several things fit what was asked for, and none was named."""


class SetUpIncomplete(GreenroomError):
    """Something this needs is not installed or not configured."""
