"""Opus through libopus itself, so that FEC, DTX, concealment and a live bitrate are within reach.

PyAV's wheel carries a libopus with the whole interface; its own wrapper hides most of it. Where neither
that nor a system libopus is found, PyAV's wrapper stands in: it cannot conceal, recover or fall silent.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import av
import numpy as np

from greenroom.errors import AudioUnavailable
from greenroom.media.blocks import FRAME, RATE_HZ, Block, silence, with_channels
from greenroom.media.toc import LONGEST_SAMPLES

OPUS_PAYLOAD_TYPE = 111
LOOKAHEAD = 312  # samples by which a decoded stream lags, with libopus at 48 kHz

Application = Literal["voip", "audio", "lowdelay"]
_APPLICATIONS: dict[Application, int] = {"voip": 2048, "audio": 2049, "lowdelay": 2051}
_SET_BITRATE, _SET_VBR, _SET_COMPLEXITY, _SET_FEC = 4002, 4006, 4010, 4012
_SET_LOSS, _SET_DTX, _RESET = 4014, 4016, 4028
_SET_MAX_BANDWIDTH = 4004
_BANDWIDTHS = {8_000: 1101, 12_000: 1102, 16_000: 1103, 24_000: 1104, 48_000: 1105}
_LONGEST_PACKET = 4000


class Encoder(Protocol):
    """Turns blocks of one length (2.5 to 60 ms) into Opus packets."""

    channels: int

    def encode(self, block: Block) -> bytes:
        """Return the packet for `block`, shape (frames, channels); one of at most 2 bytes need not be sent (DTX)."""

    def set_bitrate(self, bits_per_second: int) -> None:
        """Change the bitrate from the next packet on, 6,000 to 510,000."""

    def set_expected_loss(self, percent: int) -> None:
        """Tell how much is lost on the way, 0 to 100: below about 10 no FEC is spent."""

    def set_fec(self, on: bool) -> None:
        """Put a coarse copy of the previous packet into each, or no longer."""

    def set_dtx(self, on: bool) -> None:
        """Fall silent in pauses, or no longer."""

    def set_complexity(self, complexity: int) -> None:
        """Choose between CPU and quality, 0 to 10. From 7 on DTX only starts on digital silence."""

    def set_sample_rate(self, rate_hz: int) -> None:
        """Code no more of the sound than this rate holds: 8, 12, 16, 24 or 48 thousand; blocks stay at 48 kHz."""


class Decoder(Protocol):
    """Turns Opus packets into blocks of shape (frames, channels)."""

    channels: int

    def decode(self, packet: bytes) -> Block:
        """Return the sound of `packet`. Raises `AudioUnavailable` if it is not Opus."""

    def decode_fec(self, next_packet: bytes, frames: int = FRAME) -> Block:
        """Return the sound of the packet before `next_packet`, from the copy inside it, or concealed."""

    def conceal(self, frames: int = FRAME) -> Block:
        """Return sound that continues what was heard, fading within about 100 ms. `frames` is a multiple of 120."""

    def foresee(self, frames: int = FRAME) -> Block:
        """Return what `conceal` would, and stay where we are: the next packet is decoded as if nothing was asked."""

    def reset(self) -> None:
        """Forget what was heard: the next packet is of another speaker."""


def new_encoder(
    channels: int = 1,
    *,
    bitrate: int = 32_000,
    application: Application = "voip",
    complexity: int = 5,
    fec: bool = True,
    dtx: bool = True,
    expected_loss_percent: int = 10,
    frame_length_ms: int = 20,
) -> Encoder:
    """Return an encoder with voice settings, unless told otherwise. Raises `AudioUnavailable`."""
    encoder: Encoder
    if library() is None:
        encoder = _WrappedEncoder(
            channels,
            bitrate=bitrate,
            application=application,
            complexity=complexity,
            frame_length_ms=frame_length_ms,
        )
    else:
        encoder = LibopusEncoder(channels, application=application)
    encoder.set_bitrate(bitrate)
    encoder.set_complexity(complexity)
    encoder.set_fec(fec)
    encoder.set_dtx(dtx)
    encoder.set_expected_loss(expected_loss_percent)
    return encoder


def new_decoder(channels: int = 1) -> Decoder:
    """Return a decoder to `channels` channels, whatever the packets have. Raises `AudioUnavailable`."""
    return _WrappedDecoder(channels) if library() is None else LibopusDecoder(channels)


class LibopusEncoder:
    """An encoder of libopus itself."""

    def __init__(self, channels: int = 1, *, application: Application = "voip") -> None:
        self.channels = channels
        self._opus = _required()
        error = ctypes.c_int()
        state = self._opus.opus_encoder_create(
            RATE_HZ, channels, _APPLICATIONS[application], ctypes.byref(error)
        )
        if error.value != 0 or not state:
            raise AudioUnavailable(
                f"an Opus encoder for {channels} channels cannot be made: {_reason(error.value)}"
            )
        self._state = ctypes.c_void_p(state)
        self._packet = ctypes.create_string_buffer(_LONGEST_PACKET)
        self._control(_SET_VBR, 1)

    def encode(self, block: Block) -> bytes:
        samples = np.ascontiguousarray(block, np.float32)
        size = self._opus.opus_encode_float(
            self._state, samples.ctypes.data, len(samples), self._packet, _LONGEST_PACKET
        )
        if size < 0:
            raise AudioUnavailable(f"a block of {len(samples)} frames cannot be encoded: {_reason(size)}")
        return self._packet.raw[:size]

    def set_bitrate(self, bits_per_second: int) -> None:
        self._control(_SET_BITRATE, bits_per_second)

    def set_expected_loss(self, percent: int) -> None:
        self._control(_SET_LOSS, percent)

    def set_fec(self, on: bool) -> None:
        self._control(_SET_FEC, int(on))

    def set_dtx(self, on: bool) -> None:
        self._control(_SET_DTX, int(on))

    def set_complexity(self, complexity: int) -> None:
        self._control(_SET_COMPLEXITY, complexity)

    def set_sample_rate(self, rate_hz: int) -> None:
        if rate_hz not in _BANDWIDTHS:
            raise AudioUnavailable(
                f"Opus has no rate of {rate_hz} Hz; take one of {', '.join(map(str, _BANDWIDTHS))}"
            )
        self._control(_SET_MAX_BANDWIDTH, _BANDWIDTHS[rate_hz])

    def _control(self, request: int, value: int) -> None:
        result = self._opus.opus_encoder_ctl(self._state, ctypes.c_int(request), ctypes.c_int(value))
        if result != 0:
            raise AudioUnavailable(f"Opus cannot be set to {value} (request {request}): {_reason(result)}")

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state is not None:
            self._opus.opus_encoder_destroy(state)


class LibopusDecoder:
    """A decoder of libopus itself."""

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self._opus = _required()
        error = ctypes.c_int()
        state = self._opus.opus_decoder_create(RATE_HZ, channels, ctypes.byref(error))
        if error.value != 0 or not state:
            raise AudioUnavailable(
                f"an Opus decoder for {channels} channels cannot be made: {_reason(error.value)}"
            )
        self._state = ctypes.c_void_p(state)
        self._state_bytes = int(self._opus.opus_decoder_get_size(channels))

    def decode(self, packet: bytes) -> Block:
        return self._decode(packet, LONGEST_SAMPLES, fec=False)

    def decode_fec(self, next_packet: bytes, frames: int = FRAME) -> Block:
        return self._decode(next_packet, frames, fec=True)

    def conceal(self, frames: int = FRAME) -> Block:
        return self._decode(b"", frames, fec=False)

    def foresee(self, frames: int = FRAME) -> Block:
        kept = ctypes.string_at(
            self._state, self._state_bytes
        )  # a decoder may be copied byte by byte (opus_decoder.h)
        try:
            return self.conceal(frames)
        finally:
            ctypes.memmove(self._state, kept, self._state_bytes)

    def reset(self) -> None:
        self._opus.opus_decoder_ctl(self._state, ctypes.c_int(_RESET))

    def _decode(self, packet: bytes, frames: int, *, fec: bool) -> Block:
        block = np.empty((frames, self.channels), np.float32)
        decoded = self._opus.opus_decode_float(
            self._state, packet or None, len(packet), block.ctypes.data, frames, int(fec)
        )
        if decoded < 0:
            raise AudioUnavailable(f"a packet of {len(packet)} bytes cannot be decoded: {_reason(decoded)}")
        return block[:decoded]

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state is not None:
            self._opus.opus_decoder_destroy(state)


class _WrappedEncoder:
    """PyAV's encoder: the bitrate is fixed once it is open, and there is no DTX."""

    def __init__(
        self, channels: int, *, bitrate: int, application: Application, complexity: int, frame_length_ms: int
    ) -> None:
        self.channels = channels
        try:
            self._context = av.CodecContext.create("libopus", "w")
        except av.codec.codec.UnknownCodecError as error:
            raise AudioUnavailable("no libopus was found: reinstall PyAV, or install libopus0") from error
        assert isinstance(self._context, av.AudioCodecContext)
        self._context.sample_rate = RATE_HZ
        self._context.format = av.AudioFormat("flt")
        self._context.layout = "mono" if channels == 1 else "stereo"
        self._context.bit_rate = bitrate
        self._context.options = {
            "application": application,
            "compression_level": str(complexity),
            "fec": "1",
            "packet_loss": "10",
            "frame_duration": str(frame_length_ms),
        }
        self._context.open()
        self._frames = 0

    def encode(self, block: Block) -> bytes:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block, np.float32).reshape(1, -1),
            format="flt",
            layout="mono" if self.channels == 1 else "stereo",
        )
        frame.sample_rate = RATE_HZ
        frame.pts = self._frames
        self._frames += len(block)
        assert isinstance(self._context, av.AudioCodecContext)
        return b"".join(bytes(packet) for packet in self._context.encode(frame))

    def set_bitrate(self, bits_per_second: int) -> None: ...
    def set_expected_loss(self, percent: int) -> None: ...
    def set_fec(self, on: bool) -> None: ...
    def set_dtx(self, on: bool) -> None: ...
    def set_complexity(self, complexity: int) -> None: ...
    def set_sample_rate(self, rate_hz: int) -> None: ...


class _WrappedDecoder:
    """PyAV's decoder: what is missing becomes silence."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self._context = self._open()

    def decode(self, packet: bytes) -> Block:
        try:
            frames = self._context.decode(av.Packet(packet))
        except av.error.FFmpegError as error:
            raise AudioUnavailable(f"a packet of {len(packet)} bytes cannot be decoded") from error
        blocks = [np.ascontiguousarray(frame.to_ndarray().T, np.float32) for frame in frames]
        return with_channels(np.concatenate(blocks), self.channels) if blocks else silence(0, self.channels)

    def decode_fec(self, next_packet: bytes, frames: int = FRAME) -> Block:
        return self.conceal(frames)

    def conceal(self, frames: int = FRAME) -> Block:
        return silence(frames, self.channels)

    def foresee(self, frames: int = FRAME) -> Block:
        return silence(frames, self.channels)

    def reset(self) -> None:
        self._context = self._open()

    def _open(self) -> av.AudioCodecContext:
        context = av.CodecContext.create("opus", "r")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate = RATE_HZ
        context.layout = "mono" if self.channels == 1 else "stereo"
        return context


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return libopus, loaded once, or None where only PyAV's wrapper is left."""
    for path in _candidates():
        try:
            opus = ctypes.CDLL(path)
            for make in (opus.opus_encoder_create, opus.opus_decoder_create):
                make.restype = ctypes.c_void_p
            opus.opus_encode_float.argtypes = [
                ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int32
            ]  # fmt: skip
            opus.opus_decode_float.argtypes = [
                ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int
            ]  # fmt: skip
            opus.opus_strerror.restype = ctypes.c_char_p
        except (OSError, AttributeError):
            continue
        return opus
    return None


def _candidates() -> Iterator[str]:
    """Yield where libopus may be: Linux and Windows wheels, macOS wheels, then the system's."""
    package = Path(av.__file__).parent
    for folder, pattern in (
        (package.parent / "av.libs", "*opus*"),
        (package / ".dylibs", "libopus*"),
        (package, "*opus*.dll"),
    ):
        yield from (str(path) for path in sorted(folder.glob(pattern)) if path.is_file())
    system = ctypes.util.find_library("opus")
    if system:
        yield system


def _required() -> ctypes.CDLL:
    opus = library()
    if opus is None:
        raise AudioUnavailable("no libopus was found: reinstall PyAV, or install libopus0")
    return opus


def _reason(code: int) -> str:
    return str(_required().opus_strerror(code).decode("ascii", "replace")) if code else "out of memory"
