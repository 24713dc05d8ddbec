"""Renders the demo voices again: `python -m greenroom.media.render_voices` (needs Debian's `flite`).

The voices are Carnegie Mellon's (flite's own, free to use and to pass on). Each sentence becomes a mono
Opus file at -20 dBFS; the index lists them. The results are committed, so nobody needs flite to run a demo.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import msgspec
import numpy as np

from greenroom.errors import GreenroomError, SetUpIncomplete
from greenroom.media.blocks import FRAME, RATE_HZ, Block
from greenroom.media.dsp import gain_of, level_dbfs
from greenroom.media.files import load
from greenroom.media.voices import FOLDER, Sentence, VoiceIndex, VoiceInfo

LEVEL_DBFS = -20.0
BITRATE = 24_000
_SILENT = 0.004

SCRIPT: dict[tuple[str, str], tuple[str, ...]] = {
    ("ann", "slt"): (
        "Hello everyone, and welcome to the room.",
        "Let me say a few words about how this works.",
        "If you would like to speak, raise your hand and wait for your turn.",
        "That is a very good question, thank you.",
        "I think we should hear from somebody who has not spoken yet.",
        "Sound travels through the server without being decoded on its way.",
        "We have about five minutes left, so keep it short, please.",
        "Would anyone like to add something to that?",
    ),
    ("ben", "rms"): (
        "Good morning. Can everybody hear me?",
        "I have been listening for a while, and I have two remarks.",
        "The first one is about echo, the second one is about silence.",
        "Yes, I agree with that completely.",
        "When a packet is lost, the listener should not notice.",
        "Sorry, I did not mean to interrupt you.",
        "Let us try it once more, a little slower this time.",
        "I am going to mute myself now. Thank you.",
    ),
    ("cal", "awb"): (
        "Hi there, this is my first time on stage.",
        "I am calling from a train, so I might drop out now and then.",
        "Could you repeat the last sentence, please?",
        "In our class we recorded the whole discussion.",
        "The loudest three people are heard, and everyone else waits.",
        "No, I would put it the other way round.",
        "My hand was up first, but please go ahead.",
        "That made me laugh. See you all next week!",
    ),
}


def render(folder: Path) -> VoiceIndex:
    """Write every sentence and the index into `folder`. Raises `SetUpIncomplete` without flite."""
    flite = shutil.which("flite")
    if flite is None:
        raise SetUpIncomplete("flite is not installed; try: apt install flite")
    folder.mkdir(parents=True, exist_ok=True)
    rendered: list[VoiceInfo] = []
    for (name, flite_voice), texts in SCRIPT.items():
        sentences: list[Sentence] = []
        for number, text in enumerate(texts, start=1):
            sound = _even(_spoken(flite, flite_voice, text))
            file = f"{name}-{number}.opus"
            write_opus(folder / file, sound)
            sentences.append(Sentence(text, file, round(len(sound) / RATE_HZ, 2)))
        rendered.append(VoiceInfo(name, flite_voice, tuple(sentences)))
    index = VoiceIndex(tuple(rendered))
    (folder / "index.json").write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")
    return index


def write_opus(path: Path, sound: Block) -> None:
    """Write a mono block as an Ogg Opus file."""
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.bit_rate = BITRATE
        stream.options = {"application": "voip", "vbr": "on"}
        for at in range(0, len(sound), FRAME):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound[at : at + FRAME].T), format="flt", layout="mono"
            )
            frame.sample_rate = RATE_HZ
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _spoken(flite: str, flite_voice: str, text: str) -> Block:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentence.wav"
        subprocess.run([flite, "-voice", flite_voice, "-t", text, "-o", str(path)], check=True, timeout=60)
        return load(path)


def _even(sound: Block) -> Block:
    """Cut the silence at both ends, and bring the rest to the level all voices share."""
    loud = np.flatnonzero(np.abs(sound[:, 0]) > _SILENT)
    kept = sound[max(0, loud[0] - FRAME) : loud[-1] + 2 * FRAME]
    scaled = kept * np.float32(gain_of(LEVEL_DBFS - level_dbfs(kept)))
    return np.asarray(np.clip(scaled, -0.9, 0.9), np.float32)


def main() -> int:
    try:
        index = render(FOLDER)
    except (GreenroomError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    print(f"{sum(len(voice.sentences) for voice in index.voices)} sentences, {size // 1024} KiB, in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
