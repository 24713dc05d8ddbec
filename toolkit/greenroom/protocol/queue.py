"""Whose turn it is: the order in which raised hands come to speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from greenroom.protocol.call_types import HandPolicy
from greenroom.protocol.ids import UserId
from greenroom.protocol.room import Hand


def next_hand(
    hands: Sequence[Hand],
    policy: HandPolicy,
    talked_seconds: Mapping[UserId, float],
    turns: Mapping[UserId, int],
) -> Hand | None:
    """Return the hand whose turn it is under `policy`, or None when no hand is up.

    `first_come` takes the oldest; `least_talked` who has spoken least so far; `round_robin` who was given the
    stage least often. Ties go to the hand raised first.
    """
    match policy:
        case HandPolicy.LEAST_TALKED:
            return min(hands, key=lambda hand: talked_seconds.get(hand.user, 0.0), default=None)
        case HandPolicy.ROUND_ROBIN:
            return min(hands, key=lambda hand: turns.get(hand.user, 0), default=None)
        case _:
            return hands[0] if hands else None
