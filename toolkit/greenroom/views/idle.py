"""A session about to end by itself, in words."""

from __future__ import annotations

from greenroom.state.call import CallState
from greenroom.state.call_settings import IdleTimeout, IdleWhen
from greenroom.state.idle import IdlePhase
from greenroom.views.words import duration


def idle_words(call: CallState, now: float) -> str:
    """Return the question to the person while they are asked, else "". `now` is wall-clock."""
    idle = call.idle
    if idle.phase is not IdlePhase.PROMPTING or idle.ends_at is None:
        return ""
    why = (
        "nobody else is here" if call.settings.idle_timeout.when is IdleWhen.ALONE else "nothing happens here"
    )
    return f"{why}: leaving in {max(0.0, idle.ends_at - now):.0f} s unless you stay"


def expired_words(timeout: IdleTimeout) -> str:
    """Return why a session ended by itself."""
    seconds = timeout.before_prompt_seconds + timeout.after_prompt_seconds
    if timeout.when is IdleWhen.ALONE:
        return f"you were alone for {duration(seconds)}"
    return f"nothing happened for {duration(seconds)}"
