"""Where a setting comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.cli.config import Origin, resolve
from greenroom.errors import SetUpIncomplete


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"GREENROOM_CONFIG": str(folder / "config.toml"), **variables}


def test_an_option_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('name = "file"\nport = 1111\nhost = "127.0.0.9"\n')
    found = resolve(
        {"name": "option", "port": None}, environment(tmp_path, GREENROOM_NAME="env", GREENROOM_PORT="2222")
    )
    config, origins = found.config, found.origins
    assert (config.name, config.port, config.host, config.media_workers) == ("option", 2222, "127.0.0.9", 1)
    assert [origins[name] for name in ("name", "port", "host", "media_workers")] == [
        Origin.OPTION,
        Origin.ENVIRONMENT,
        Origin.FILE,
        Origin.DEFAULT,
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nmae = 'x'", "nmae"),
        ("port = 'many'", "port"),
        ("name = ", "cannot read"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SetUpIncomplete, match=says):
        resolve(environment=environment(tmp_path))


def test_a_token_shows_in_no_representation(tmp_path: Path) -> None:
    found = resolve(environment=environment(tmp_path, GREENROOM_TOKEN="SECRET"))
    assert found.config.token == "SECRET"
    assert "SECRET" not in repr(found)
