"""The microphone device of a client: open while there is a call, or somebody tries it, and at no other time."""

from __future__ import annotations

from greenroom.engine.shared_source import Branch, SharedSource
from greenroom.media.audio_session import AudioSession
from greenroom.media.blocks import FRAME
from greenroom.media.device_lines import DeviceMicrophone
from greenroom.state.devices import NO_DEVICE, DevicePhase, DevicesState, microphone_reason

_READ_FRAMES = 5 * FRAME


class OwnMicrophone:
    """Takes a line of `devices` into `source` while it is `wanted`. Without `devices` it does nothing.

    Belongs to the engine's loop. Somebody else's source in its place stays.
    """

    def __init__(self, source: SharedSource, devices: AudioSession | None) -> None:
        self._source = source
        self._resting = source.source
        self._devices = devices
        self._line: DeviceMicrophone | None = None
        self._in_call = False
        self._trying: Branch | None = None

    @property
    def trying(self) -> bool:
        """Whether somebody looks at its level."""
        return self._trying is not None

    def in_call(self, wanted: bool) -> None:
        """Say whether there is a call that may need it."""
        self._in_call = wanted
        self._follow()

    def try_it(self, on: bool) -> None:
        """Listen to it for its level, with a call or without."""
        if on == self.trying:
            return
        if on:
            self._trying = self._source.branch()
        elif self._trying is not None:
            self._trying.close()
            self._trying = None
        self._follow()

    def read(self) -> None:
        """Take the next 100 ms where nobody else may: called ten times a second."""
        if self._trying is not None:
            self._trying.read(_READ_FRAMES)

    def missing(self, devices: DevicesState | None) -> str:
        """Return why there is no microphone, or "" where there is one, or one is about to be."""
        if devices is None or self._devices is None:
            return ""
        used = self._line is not None and self._source.source is self._line
        line = devices.microphone
        if not used or (line.phase is DevicePhase.OFF and line.wish != NO_DEVICE):
            return ""
        return microphone_reason(line)

    def close(self) -> None:
        """Give the line back; twice is quiet."""
        self.try_it(False)
        self.in_call(False)

    def _follow(self) -> None:
        if self._devices is None:
            return
        if self._line is None and (self._in_call or self.trying):
            self._line = self._devices.microphone()
            if self._source.source is self._resting:
                self._source.replace(self._line)
        elif self._line is not None and not (self._in_call or self.trying):
            line, self._line = self._line, None
            if self._source.source is line:
                self._source.replace(self._resting)
            line.close()
