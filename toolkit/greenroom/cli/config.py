"""Where each setting comes from: an option, the environment, the configuration file, or the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from greenroom.errors import SetUpIncomplete

DEFAULT_PORT = 7700


class Origin(StrEnum):
    """Which source a value won from; later ones win over earlier ones."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    OPTION = "option"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be set. `token` is for a server that is not this machine's; it is never printed.

    `database`: a SQLAlchemy URL; empty is SQLite in `data`. `name` is what others see.
    `input` and `output`: microphone and loudspeaker by index, name or part of one; empty is what was chosen last.
    `policy`: who has the sound when one is in several calls, see `MultiCallPolicy`.
    """

    server: str = f"http://127.0.0.1:{DEFAULT_PORT}"
    name: str = ""
    token: str = ""
    data: str = ""
    database: str = ""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    media_workers: int = 1
    theme: str = "greenroom-dark"
    input: str = ""
    output: str = ""
    policy: str = "suspend_existing"

    def __repr__(self) -> str:
        return f"Config(server={self.server!r}, name={self.name!r}, data={self.data!r}, token=…)"


class Resolved(msgspec.Struct, frozen=True):
    """The configuration in force and where each value came from."""

    config: Config
    origins: Mapping[str, Origin]
    file: Path


def config_file(environment: Mapping[str, str]) -> Path:
    """Return the path of the configuration file, whether or not it is there."""
    named = environment.get("GREENROOM_CONFIG")
    return Path(named) if named else Path(platformdirs.user_config_dir("greenroom")) / "config.toml"


def resolve(
    options: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Resolved:
    """Return the configuration in force. `options` that are None are not set.

    Raises `SetUpIncomplete` when the file or a variable holds something that is not a setting.
    """
    environment = os.environ if environment is None else environment
    path = config_file(environment)
    values: dict[str, Any] = {
        "name": environment.get("USER") or environment.get("USERNAME") or "me",
        "data": platformdirs.user_data_dir("greenroom"),
    }
    origins = dict.fromkeys(Config.__struct_fields__, Origin.DEFAULT)
    given = {
        Origin.FILE: _read(path),
        Origin.ENVIRONMENT: {
            field: environment[variable]
            for field in Config.__struct_fields__
            if environment.get(variable := f"GREENROOM_{field.upper()}")
        },
        Origin.OPTION: {name: value for name, value in (options or {}).items() if value is not None},
    }
    for origin, found in given.items():
        for name, value in found.items():
            values[name] = value
            origins[name] = origin
    try:
        config = msgspec.convert(values, Config, strict=False)
    except msgspec.ValidationError as error:
        raise SetUpIncomplete(
            f"the configuration does not hold: {error}; see {path} and GREENROOM_… variables"
        ) from None
    return Resolved(config, origins, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetUpIncomplete(f"cannot read {path}: {error}") from None
    unknown = sorted(set(found) - set(Config.__struct_fields__))
    if unknown:
        known = ", ".join(Config.__struct_fields__)
        raise SetUpIncomplete(f"{path} has unknown settings: {', '.join(unknown)}; known are {known}")
    return found
