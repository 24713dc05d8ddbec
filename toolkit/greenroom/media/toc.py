"""The first byte of an Opus packet says how long its sound is (RFC 6716, 3.1)."""

from __future__ import annotations

_SILK_SAMPLES = (480, 960, 1920, 2880)
_HYBRID_SAMPLES = (480, 960)
_CELT_SAMPLES = (120, 240, 480, 960)
LONGEST_SAMPLES = 5760


def packet_samples(payload: bytes) -> int:
    """Return the duration of the Opus packet `payload` in samples at 48 kHz, 120 to 5,760 (120 ms).

    0 means that `payload` cannot be an Opus packet: it is empty, or claims more than 120 ms.
    """
    if not payload:
        return 0
    configuration = payload[0] >> 3
    if configuration < 12:
        frame = _SILK_SAMPLES[configuration & 3]
    elif configuration < 16:
        frame = _HYBRID_SAMPLES[configuration & 1]
    else:
        frame = _CELT_SAMPLES[configuration & 3]
    match payload[0] & 3:
        case 0:
            count = 1
        case 1 | 2:
            count = 2
        case _:
            count = payload[1] & 0x3F if len(payload) > 1 else 0
    samples = frame * count
    return samples if samples <= LONGEST_SAMPLES else 0


def is_stereo(payload: bytes) -> bool:
    """Tell whether an Opus packet carries two channels."""
    return bool(payload) and bool(payload[0] & 4)
