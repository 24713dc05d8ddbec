"""The dashboard opens in the colours that were chosen, and refuses those there are not."""

from __future__ import annotations

import pytest

from greenroom.cli.config import Config
from greenroom.errors import Malformed
from greenroom_tui.app import DashboardApp
from greenroom_tui.themes import THEMES, theme_named
from tests.tui.world import World


@pytest.mark.parametrize("name", [theme.name for theme in THEMES])
async def test_the_dashboard_opens_in_the_chosen_colours(name: str) -> None:
    app = DashboardApp(World(), theme=name)
    async with app.run_test():
        assert app.theme == name


def test_the_setting_names_colours_there_are() -> None:
    assert theme_named(Config().theme) is THEMES[0]


def test_colours_there_are_not_are_refused_with_those_there_are() -> None:
    with pytest.raises(Malformed, match="greenroom-light"):
        theme_named("mauve")
