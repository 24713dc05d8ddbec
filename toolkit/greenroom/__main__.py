"""`python -m greenroom` is `greenroom`."""

from greenroom.cli.main import run

run()
