"""What a session is started with: how it looks, which buttons show, when it ends by itself. Both screens honour it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from greenroom.errors import Malformed
from greenroom.state.layout import CallView, Layout

MOST_SECONDS = 24 * 3600.0


class CallMode(StrEnum):
    """`DEFAULT`: everybody alike. `SPOTLIGHT`: who speaks is large. `SINGLE`: one person at a time."""

    DEFAULT = "default"
    SPOTLIGHT = "spotlight"
    SINGLE = "single"


class AvatarMode(StrEnum):
    """The shape of a person without a picture of their own."""

    CIRCLE = "circle"
    SQUARE = "square"
    FULLSCREEN = "fullscreen"


class AudioMode(StrEnum):
    """Where one listens."""

    SPEAKER = "speaker"
    EARPIECE = "earpiece"
    BLUETOOTH = "bluetooth"
    HEADPHONES = "headphones"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_choice(name: str, value: object, choices: type[StrEnum]) -> None:
    if not isinstance(value, choices):
        raise ValueError(f"{name} is one of {', '.join(choices)} ({choices.__name__}), not {value!r}")


def _check_flags(settings: msgspec.Struct, names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(getattr(settings, name), bool):
            raise ValueError(f"{name} is True or False, not {getattr(settings, name)!r}")


class IdleWhen(StrEnum):
    """`INACTIVE`: nobody speaks and I do nothing. `ALONE`: nobody else is here."""

    INACTIVE = "inactive"
    ALONE = "alone"


class IdleTimeout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds until the person is asked, and from then until the session ends. 0 before the prompt is off; 0 after it
    ends the session without asking."""

    before_prompt_seconds: float = 120.0
    after_prompt_seconds: float = 60.0
    when: IdleWhen = IdleWhen.INACTIVE

    def __post_init__(self) -> None:
        for name in ("before_prompt_seconds", "after_prompt_seconds"):
            seconds = getattr(self, name)
            if not _is_number(seconds) or not 0 <= seconds <= MOST_SECONDS:
                raise ValueError(f"{name} is 0 to {MOST_SECONDS:.0f} seconds, not {seconds!r}")
        _check_choice("when", self.when, IdleWhen)

    @property
    def on(self) -> bool:
        """Whether the session ends by itself at all."""
        return self.before_prompt_seconds > 0


NEVER_IDLE = IdleTimeout(before_prompt_seconds=0.0)


class Buttons(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which buttons show. Those of video and recording show nowhere yet, whatever is said here."""

    end: bool = True
    mute: bool = True
    audio_mode: bool = True
    camera: bool = True
    pause_video: bool = True
    switch_to_video: bool = True
    record: bool = False

    def __post_init__(self) -> None:
        _check_flags(self, self.__struct_fields__)


class VideoFit(StrEnum):
    """`CONTAIN` shows all of a picture, `COVER` fills the frame with it."""

    CONTAIN = "contain"
    COVER = "cover"


class MainVideo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the large frame shows besides the person."""

    fit: VideoFit = VideoFit.CONTAIN
    full_screen_button: bool = True
    zoom_button: bool = True
    people_button: bool = True
    name_label: bool = True

    def __post_init__(self) -> None:
        _check_choice("fit", self.fit, VideoFit)
        _check_flags(self, ("full_screen_button", "zoom_button", "people_button", "name_label"))


class CallSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a session looks and behaves; fixed when it starts.

    `default_layout` off: one's own view shows the call, a screen leaves its arrangement alone. `audio_only` offers no
    line of video. `start_muted` and `start_video_off`: None is what the room's type says. `output` None is the
    device that is used anyway. `record_on_start` asks for a recording, which this server refuses as not available.
    Raises `ValueError` for what is not a value.
    """

    default_layout: bool = True
    audio_only: bool = False
    mode: CallMode = CallMode.DEFAULT
    avatar_mode: AvatarMode = AvatarMode.CIRCLE
    output: AudioMode | None = None
    start_muted: bool | None = None
    start_video_off: bool | None = None
    buttons: Buttons = Buttons()
    record_on_start: bool = False
    tile_click: bool = True
    tile_drag: bool = True
    main_video: MainVideo = MainVideo()
    idle_timeout: IdleTimeout = IdleTimeout()

    def __post_init__(self) -> None:
        _check_choice("mode", self.mode, CallMode)
        _check_choice("avatar_mode", self.avatar_mode, AvatarMode)
        if self.output is not None:
            _check_choice("output", self.output, AudioMode)
        _check_flags(self, ("default_layout", "audio_only", "record_on_start", "tile_click", "tile_drag"))
        _check_flags(
            self, tuple(n for n in ("start_muted", "start_video_off") if getattr(self, n) is not None)
        )
        for name, kind in (("buttons", Buttons), ("main_video", MainVideo), ("idle_timeout", IdleTimeout)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is a {kind.__name__}, not {getattr(self, name)!r}")


JOINED_WITHOUT_SETTINGS = CallSettings(idle_timeout=NEVER_IDLE)
"""What a plain join has: it never ends by itself."""


def parse_settings(values: Mapping[str, object]) -> CallSettings:
    """Return the settings in a file or a message. Raises `Malformed` and names what is wrong."""
    try:
        return msgspec.convert(values, CallSettings)
    except (msgspec.ValidationError, TypeError) as error:
        raise Malformed(f"these are no call settings: {error}") from None


def first_view(settings: CallSettings) -> CallView:
    """Return how a session with `settings` looks at first."""
    layouts = {CallMode.DEFAULT: Layout.TILE}
    return CallView(layouts.get(settings.mode, Layout.SPOTLIGHT))
