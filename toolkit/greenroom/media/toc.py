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


def has_fec(payload: bytes) -> bool:
    """Tell whether a one-frame Opus packet carries a copy of the frame before it (RFC 6716, 4.2.4).

    CELT packets never do; packets of several frames are taken as having none.
    """
    if len(payload) < 2 or payload[0] & 0x83 >= 0x80 or payload[0] & 3:
        return False
    silk_frames = max(1, packet_samples(payload) // 960)
    found = payload[1] >> (7 - silk_frames) & 1
    if is_stereo(payload):
        found |= payload[1] >> (6 - 2 * silk_frames) & 1
    return bool(found)
