"""What a call's sound is made of, in words: one row a value, with who said it and whether it can still change."""

from __future__ import annotations

from typing import Any

import msgspec

from greenroom.policies.audio_config import FIELDS, LIVE, LOCAL
from greenroom.state.audio import Acting, EffectiveAudio, Origin


class AudioRow(msgspec.Struct, frozen=True):
    """One value. `name` as in `AudioConfiguration`; `changeable` while the call uses sound; `note`: why it does not act."""

    name: str
    title: str
    value: str
    origin: str
    changeable: bool = False
    note: str = ""


def audio_rows(audio: EffectiveAudio) -> tuple[AudioRow, ...]:
    """Return every value of a call's sound, in the order of `AudioConfiguration`."""
    return tuple(
        AudioRow(
            name=name,
            title=_TITLES[name],
            value=value_words(name, getattr(audio, name)),
            origin=_ORIGINS[audio.origins[name]] if name in audio.origins else "",
            changeable=name in LIVE | LOCAL or not audio.frozen,
            note=_note(audio, name),
        )
        for name in FIELDS
    )


def audio_report(audio: EffectiveAudio) -> dict[str, dict[str, Any]]:
    """Return every value of a call's sound as it is, for programs: `{"bitrate": {"value": 64000, "origin": "call"}, …}`.

    A value that does not act here has a `note` that says why; `processing` says what really happens to the microphone.
    """
    report: dict[str, dict[str, Any]] = {}
    for row in audio_rows(audio):
        origin = audio.origins.get(row.name)
        report[row.name] = {"value": getattr(audio, row.name), "origin": origin and origin.value}
        if row.note:
            report[row.name]["note"] = row.note
    report["processing"] = {"by": audio.acting.by, "words": acting_words(audio.acting)}
    return report


def value_words(name: str, value: object) -> str:
    """Return a value of `AudioConfiguration` as a person reads it: `64 kb/s`, `on`, `stereo`."""
    match name, value:
        case ("channels", int()):
            return "stereo" if value == 2 else "mono"
        case _, bool():
            return "on" if value else "off"
        case ("bitrate", int()):
            return f"{value / 1000:g} kb/s"
        case ("sample_rate_hz", int()):
            return f"{value / 1000:g} kHz"
        case ("frame_length_ms" | "playout_target_ms", int()):
            return f"{value} ms"
        case ("expected_loss_percent", int()):
            return f"{value} %"
        case ("expected_loss_percent" | "red_depth", "adaptive"):
            return "as the listeners' loss asks for"
        case ("red_depth", int()):
            return ("none", "one earlier packet", "two earlier packets")[value]
        case _:
            return str(value)


def acting_words(acting: Acting) -> str:
    """Return what really happens to the microphone's sound, e.g. `echo, noise and gain by WebRTC`."""
    done = acting.done
    parts = [
        word
        for word, on in (
            ("echo", done.echo_cancellation),
            (f"noise ({done.noise_suppression})", done.noise_suppression.value != "off"),
            ("gain", done.gain_control),
        )
        if on
    ]
    what = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    by = {"webrtc": "by WebRTC", "light": "by the built-in processing", "none": ""}[acting.by]
    acts = f"{what} {by}" if what else "the microphone is left untouched"
    return f"{acts}; {acting.reason}" if acting.reason else acts


_TITLES = {
    "channels": "microphone",
    "sample_rate_hz": "highest rate",
    "bitrate": "bitrate",
    "application": "coded for",
    "complexity": "effort of coding",
    "dtx": "silent in pauses (DTX)",
    "fec": "copy inside packets (FEC)",
    "expected_loss_percent": "expected loss",
    "red_depth": "repeated packets (RED)",
    "frame_length_ms": "sound in a packet",
    "echo_cancellation": "echo cancellation",
    "noise_suppression": "noise suppression",
    "gain_control": "gain control",
    "playout_target_ms": "wait before playing",
    "stereo_playout": "stereo playout",
    "output_route": "output",
}
_ORIGINS = {
    Origin.CALL: "this call",
    Origin.CLIENT: "my default",
    Origin.BROADCASTER: "broadcaster",
    Origin.ROOM: "the room",
    Origin.MUSIC: "music",
}


def _note(audio: EffectiveAudio, name: str) -> str:
    if name == "output_route":
        return audio.route_reason
    done, wanted = audio.acting.done, audio.processing
    if name in wanted.__struct_fields__ and getattr(done, name) != getattr(wanted, name):
        return audio.acting.reason
    return ""
