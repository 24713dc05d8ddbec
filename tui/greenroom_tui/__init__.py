"""The terminal's face of Greenroom: a dashboard on live rooms, made with Textual."""

from greenroom_tui.app import DashboardApp
from greenroom_tui.run import run_dashboard, screenshot_svg, show_dashboard

__all__ = ["DashboardApp", "run_dashboard", "screenshot_svg", "show_dashboard"]
