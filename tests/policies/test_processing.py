"""What happens to a microphone's sound, and what is said about it."""

from __future__ import annotations

import pytest

from greenroom.policies.audio_config import broadcaster, resolve
from greenroom.policies.processing import plan_processing
from greenroom.state.audio import UNTOUCHED, Acting, NoiseSuppression, Processing
from greenroom.views.audio import acting_words

ALL = Processing(True, NoiseSuppression.NORMAL, True)
ECHO_ONLY = Processing(True, NoiseSuppression.OFF, False)


@pytest.mark.parametrize(
    ("wanted", "options", "by", "done", "words"),
    [
        pytest.param(ALL, {}, "webrtc", ALL, "echo, noise (normal) and gain by WebRTC", id="the extra does all"),
        pytest.param(
            ALL, {"webrtc": False}, "light", Processing(False, NoiseSuppression.NORMAL, True),
            "noise (normal) and gain by the built-in processing; echo cancellation needs more"
            " (pip install 'greenroom[processing]'); use headphones",
            id="without it echo stays, and one is told what helps",
        ),
        pytest.param(
            ECHO_ONLY, {"webrtc": False}, "none", UNTOUCHED,
            "the microphone is left untouched; echo cancellation needs more"
            " (pip install 'greenroom[processing]'); use headphones",
            id="echo alone needs the extra",
        ),
        pytest.param(
            ALL, {"microphone": False}, "none", UNTOUCHED,
            "the microphone is left untouched; what is sent does not come from a microphone",
            id="a file is sent as it is",
        ),
        pytest.param(UNTOUCHED, {}, "none", UNTOUCHED, "the microphone is left untouched", id="nothing asked"),
        pytest.param(
            UNTOUCHED, {"music": True}, "none", UNTOUCHED,
            "the microphone is left untouched; music is being sent", id="music",
        ),
    ],
)  # fmt: skip
def test_what_is_done_and_why_not_more(
    wanted: Processing, options: dict[str, bool], by: str, done: Processing, words: str
) -> None:
    acting = plan_processing(wanted, **{"microphone": True, "webrtc": True, **options})
    assert (acting.by, acting.done) == (by, done)
    assert acting_words(acting) == words


def test_a_broadcaster_wants_everything_treated() -> None:
    assert resolve(broadcaster()).processing == ALL
    assert Acting().done == UNTOUCHED
