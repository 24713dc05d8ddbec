"""`greenroom bench …`: how fast the parts that matter are, as CPU per unit of work and as ratios."""

from __future__ import annotations

from typing import Annotated

import typer

from greenroom.cli.output import say, say_error, say_json

app = typer.Typer(help="Measure how fast the parts that matter are.", rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Measure how fast the parts that matter are."""


@app.command()
def forward(
    listeners: Annotated[
        int, typer.Option(min=1, max=5000, help="How many listeners one speaker has.")
    ] = 500,
    seconds: Annotated[float, typer.Option(min=1.0, max=300.0, help="How long to measure.")] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Forward one speaker to many listeners and compare with sending the same bytes bare."""
    from greenroom.lab import bench_forward

    if not json:
        say_error(f"connecting {listeners} listeners for real, then measuring for {seconds:g} s …")
    report = bench_forward.run(listeners, seconds)
    if json:
        say_json(report)
        return
    say(
        f"{report.cpu_us_per_packet:.2f} µs of CPU a forwarded packet, {report.ratio:.2f} × a bare send of the same"
    )
    say(
        f"bare send {report.bare_send_us:.2f} µs · {report.packets} packets, {report.lost} lost, "
        f"{report.listeners} listeners"
    )
    say(
        f"a listener costs {report.setup_cpu_ms_per_peer:.2f} ms of CPU to connect and {report.rss_kib_per_peer:.0f} KiB"
    )
