"""`greenroom …`: every command, its options, and how errors reach a person."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from greenroom.cli import bench, calls, dashboard, demo, history, netsim, operate, people, sound, urls
from greenroom.cli.output import Exit, exit_code, say_error
from greenroom.errors import GreenroomError

app = typer.Typer(
    name="greenroom",
    help="Live audio rooms and calls: a server, a terminal dashboard, a browser page; for this machine unless told.",
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(dashboard.dash)
app.command()(people.join)
app.command()(calls.call)
app.command()(calls.answer)
app.command()(people.rooms)
app.command()(people.hands)
app.command()(history.history)
app.command()(sound.devices)
app.command()(operate.serve)
app.command()(operate.token)
app.command()(operate.doctor)
app.add_typer(operate.types_app, name="types")
app.add_typer(urls.url_app, name="url")
app.add_typer(operate.config_app, name="config")
app.add_typer(bench.app, name="bench")
app.command()(netsim.netsim)


@app.callback(invoke_without_command=True)
def greenroom(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and go.", is_eager=True)
    ] = False,
) -> None:
    """Open the dashboard on the configured server, or offer to start one."""
    if version:
        from importlib.metadata import version as version_of

        print(version_of("greenroom"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        dashboard.start()


def run() -> NoReturn:
    """Run the command line; the process ends with one of `greenroom.cli.output.Exit`."""
    try:
        app(standalone_mode=True)
    except GreenroomError as error:
        say_error(str(error))
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except OSError as error:
        if error.errno != errno.EPIPE:
            say_error(f"cannot write the output: {error.strerror}")
            sys.exit(Exit.FAILED)
        # Whoever read our output has what it wanted; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    sys.exit(Exit.OK)
