"""Who may do what: capabilities, and what a role, a grant and a revocation make of them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.protocol.ids import ADMIN, Role


class Capability(StrEnum):
    """One thing a person may do in a room."""

    JOIN = "join-call"
    READ = "read-call"
    CREATE = "create-call"
    JOIN_ENDED = "join-ended-call"
    JOIN_BACKSTAGE = "join-backstage"
    END = "end-call"
    UPDATE = "update-call"
    UPDATE_SETTINGS = "update-call-settings"
    UPDATE_PERMISSIONS = "update-call-permissions"
    UPDATE_MEMBER = "update-call-member"
    REMOVE_MEMBER = "remove-call-member"
    SEND_AUDIO = "send-audio"
    SEND_VIDEO = "send-video"
    SCREENSHARE = "screenshare"
    REACT = "create-reaction"
    CHAT = "create-message"
    MODERATE_CHAT = "moderate-messages"
    MUTE = "mute-users"
    BLOCK = "block-users"
    KICK = "kick-user"
    PIN = "pin-for-everyone"
    NOISE_CANCELLATION = "enable-noise-cancellation"
    MAX_DURATION = "change-max-duration"
    RECORD = "start-record-call"
    STOP_RECORD = "stop-record-call"
    BROADCAST = "start-broadcast-call"
    STOP_BROADCAST = "stop-broadcast-call"
    TRANSCRIBE = "start-transcription-call"
    CAPTION = "start-closed-captions-call"


EVERYTHING = frozenset(Capability)
Grants = Mapping[Role, frozenset[Capability]]


class Override(msgspec.Struct, frozen=True):
    """What one person may do in one room beyond, or short of, their role."""

    granted: frozenset[Capability] = frozenset()
    revoked: frozenset[Capability] = frozenset()

    def grant(self, capabilities: frozenset[Capability]) -> Override:
        """Return the override with `capabilities` granted."""
        return Override(self.granted | capabilities, self.revoked - capabilities)

    def revoke(self, capabilities: frozenset[Capability]) -> Override:
        """Return the override with `capabilities` taken away."""
        return Override(self.granted - capabilities, self.revoked | capabilities)


NO_OVERRIDE = Override()


def effective(grants: Grants, role: Role, override: Override = NO_OVERRIDE) -> frozenset[Capability]:
    """Return what someone with `role` may do. An admin may do everything, whatever is granted or revoked."""
    if role == ADMIN:
        return EVERYTHING
    return (grants.get(role, frozenset()) | override.granted) - override.revoked
