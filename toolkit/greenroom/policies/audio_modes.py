"""Which kinds of listening devices there are, by their names, and which one a person means. Pure."""

from __future__ import annotations

from greenroom.state.call_settings import AudioMode
from greenroom.state.devices import Device, DevicesState, Direction

_WORDS = (
    (AudioMode.BLUETOOTH, ("bluetooth", "bluez", "airpods", "buds", "hands-free")),
    (AudioMode.HEADPHONES, ("headphone", "headset", "earphone", "earbud", "kopfhörer")),
    (AudioMode.EARPIECE, ("earpiece", "handset")),
)


def mode_of(device: Device) -> AudioMode:
    """Return what kind of device this is to listen with; one whose name says nothing is a loudspeaker."""
    name = f"{device.name} {device.key}".casefold()
    return next((mode for mode, words in _WORDS if any(word in name for word in words)), AudioMode.SPEAKER)


def audio_modes(devices: DevicesState | None) -> tuple[AudioMode, ...]:
    """Return where one can listen, in the order of `AudioMode`."""
    found = {mode_of(device) for device in _outputs(devices)}
    return tuple(mode for mode in AudioMode if mode in found)


def selected_mode(devices: DevicesState | None) -> AudioMode | None:
    """Return where one listens; None when that is with no device, or one that is not listed."""
    if devices is None or not devices.speaker.usable:
        return None
    name = devices.speaker.device
    return next((mode_of(device) for device in _outputs(devices) if name in (device.name, device.key)), None)


def device_for(devices: DevicesState | None, mode: AudioMode) -> Device | None:
    """Return the device to listen with in `mode`: the system's default if it is one, else the first of that kind."""
    fitting = [device for device in _outputs(devices) if mode_of(device) is mode]
    return next((device for device in fitting if device.default_output), next(iter(fitting), None))


def _outputs(devices: DevicesState | None) -> tuple[Device, ...]:
    available = () if devices is None else devices.available
    return tuple(device for device in available if device.channels(Direction.OUTPUT) > 0)
