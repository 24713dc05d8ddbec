"""One microphone for several calls: what is read once is heard by every call that reads it, treated as that call wishes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, Block, checked, silence, with_channels
from greenroom.media.dsp import crossfade, rising
from greenroom.media.meter import Meter
from greenroom.media.processing import STEP, Processor, new_processor, prepare, webrtc_installed
from greenroom.media.ring import SampleRing
from greenroom.media.sources import AudioSource, RoomMicrophone, Silence
from greenroom.policies.processing import plan_processing
from greenroom.state.audio import UNTOUCHED, Acting, ProcessedBy, Processing

_BRANCH_FRAMES = 5 * FRAME
_REFERENCE_FRAMES = 10 * FRAME
_Treatment = tuple[ProcessedBy, Processing]

log = logging.getLogger(__name__)


class Branch:
    """One call's view of a shared source. Closing it leaves the source alone."""

    def __init__(self, owner: SharedSource, wanted: Processing) -> None:
        self._owner = owner
        self.wanted = wanted
        self.leaving: Processing | None = None
        self.fade_after_frames = 0
        self.channels = owner.channels
        self.ring = SampleRing(_BRANCH_FRAMES, owner.channels)

    def read(self, frames: int) -> Block:
        while len(self.ring) < frames and self in self._owner:
            self._owner.advance(frames - len(self.ring))
        return self.ring.read(frames)

    def treat(self, wanted: Processing) -> None:
        """Have the sound treated as `wanted`, by a cross-fade within 40 ms: what treats it has to hear a little first."""
        if wanted != self.wanted:
            self.leaving, self.wanted = self.wanted, wanted
            self.fade_after_frames = FRAME

    def close(self) -> None:
        """Read no more; twice is quiet."""
        self._owner.drop(self)


class SharedSource:
    """Reads its source whenever the first of its branches needs more; a branch that stops reading loses the oldest.

    A microphone is treated once for each distinct wish, however many calls share that wish. What its wish really
    comes to is told by `acting`, and `on_acting` is called when that may have changed. A source that fails is silent from
    then on, and `on_failed` is told why, once. Belongs to the engine's thread.
    """

    def __init__(self, source: AudioSource, *, webrtc: bool | None = None) -> None:
        self.channels = source.channels
        self.meter = Meter()
        self.on_acting: Callable[[], None] = lambda: None
        self.on_failed: Callable[[str], None] = lambda _: None
        self._source = source
        self._room = source if isinstance(source, RoomMicrophone) else None
        self._webrtc = webrtc_installed() if webrtc is None else webrtc
        self._branches: list[Branch] = []
        self._processors: dict[_Treatment, Processor] = {}
        self._played = SampleRing(_REFERENCE_FRAMES)
        self._tail = silence(0, source.channels)

    @property
    def source(self) -> AudioSource:
        """What is being read now."""
        return self._source

    def acting(self, wanted: Processing, *, music: bool = False) -> Acting:
        """Return what really happens to the source's sound where `wanted` is asked for, and why not more."""
        return plan_processing(
            wanted, microphone=self._room is not None, webrtc=self._webrtc, music=music
        )  # fmt: skip

    async def prepare(self) -> None:
        """Load what a microphone may need, beside the loop."""
        if self._room is not None and self._webrtc:
            await asyncio.to_thread(prepare)

    @property
    def treatments(self) -> int:
        """How many times each block is treated at present: once for each distinct wish."""
        acting = {self.acting(branch.wanted) for branch in self._branches}
        return len({(one.by, one.done) for one in acting if one.by != "none"})

    def branch(self, wanted: Processing = UNTOUCHED) -> Branch:
        """Return one more reader, from now on, whose sound is treated as `wanted`."""
        branch = Branch(self, wanted)
        self._branches.append(branch)
        return branch

    def __contains__(self, branch: object) -> bool:
        return branch in self._branches

    def drop(self, branch: Branch) -> None:
        """Forget `branch`; an unknown one is quiet."""
        if branch in self._branches:
            self._branches.remove(branch)

    def replace(self, source: AudioSource) -> AudioSource:
        """Read `source` from now on, and return the one before, which is the caller's to close."""
        before, self._source = self._source, source
        try:
            self._tail = with_channels(checked(before.read(FRAME), FRAME, before.channels), self.channels)
        except Exception:  # somebody else's source, and it is leaving
            self._tail = silence(0, self.channels)
        self._room = source if isinstance(source, RoomMicrophone) else None
        self._processors.clear()
        self.on_acting()
        return before

    def _read(self, frames: int) -> Block:
        try:
            return with_channels(
                checked(self._source.read(frames), frames, self._source.channels), self.channels
            )
        except AudioUnavailable as error:
            words = str(error)
        except Exception as error:  # a source somebody wrote must not end anybody's call
            words = f"the source failed: {type(error).__name__}"
        self._source, self._room = Silence(), None
        self.on_acting()
        self.on_failed(f"{words}; nothing is heard of it any more")
        return silence(frames, self.channels)

    def _joined(self, block: Block) -> Block:
        """Return `block`, faded over to from what the source before would have gone on with."""
        frames = min(len(block), len(self._tail))
        if frames == 0:
            return block
        at = FRAME - len(self._tail)
        ramp = rising(FRAME)[at : at + frames]
        joined = block.copy()
        joined[:frames] = self._tail[:frames] * (1.0 - ramp) + block[:frames] * ramp
        self._tail = self._tail[frames:]
        return joined

    def played(self, block: Block) -> None:
        """Take what is played where the source itself does not know it."""
        if self._room is not None:
            self._played.write(with_channels(block, 1))

    def advance(self, frames: int) -> None:
        """Read `frames` for everyone, or somewhat more: whole steps of 10 ms."""
        whole = -(-frames // STEP) * STEP
        block = self._joined(self._read(whole))
        self.meter.take(block)
        reference = self._reference()
        treated: dict[_Treatment, Block] = {}
        for branch in self._branches:
            mine = self._treat(branch.wanted, block, reference, treated)
            if branch.leaving is not None:
                before = self._treat(branch.leaving, block, reference, treated)
                if branch.fade_after_frames > 0:
                    branch.fade_after_frames -= len(block)
                    mine = before
                else:
                    mine = crossfade(before, mine)
                    branch.leaving = None
            branch.ring.write(mine)
        self._forget_unused(treated)

    def _treat(
        self, wanted: Processing, block: Block, reference: Block, treated: dict[_Treatment, Block]
    ) -> Block:
        """Return `block` treated as `wanted`; what was treated like that already is not treated again."""
        acting = self.acting(wanted)
        treatment = (acting.by, acting.done)
        if acting.by == "none":
            return block
        if treatment not in treated:
            try:
                processor = self._processors.pop(treatment, None) or new_processor(acting, self.channels)
            except AudioUnavailable as error:
                log.warning("%s; going on with the built-in processing", error)
                self._webrtc = False
                self.on_acting()
                return self._treat(wanted, block, reference, treated)
            assert processor is not None
            self._processors[treatment] = processor  # the ones used last are last
            if self._room is not None:
                processor.set_delay(self._room.echo_delay_seconds)
            processor.played(reference)
            treated[treatment] = processor.process(block)
        return treated[treatment]

    def _reference(self) -> Block:
        """Return what was played since the last time, mono, whole steps of 10 ms."""
        if self._room is not None:
            self._played.write(self._room.take_played())
        return self._played.read(len(self._played) // STEP * STEP)

    def _forget_unused(self, used: Collection[_Treatment]) -> None:
        """Keep the one processor that was used last besides those in use: a call that reconnects comes back to it."""
        unused = [treatment for treatment in self._processors if treatment not in used]
        for treatment in unused[:-1]:
            del self._processors[treatment]
