"""What a session's settings let a face show: which actions have a button."""

from __future__ import annotations

from greenroom.state.call import CallState
from greenroom.views.actions import Action

_BUTTON_OF = {"leave": "end", "end": "end", "microphone": "mute", "audio_mode": "audio_mode"}


def has_button(action: Action, call: CallState) -> bool:
    """Tell whether `action` has a button in this session. Its key and its command still work."""
    button = _BUTTON_OF.get(action.id)
    return button is None or bool(getattr(call.settings.buttons, button))
