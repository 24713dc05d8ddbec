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


@app.command()
def quality(
    loss: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of packets a listener loses.")] = 0.2,
    burst: Annotated[float, typer.Option(min=1.0, max=100.0, help="Mean length of a run of loss.")] = 1.0,
    profile: Annotated[str, typer.Option(help="The speaker's profile.")] = "broadcaster",
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Let three listeners lose packets of real speech, and score what they hear (PESQ, STOI)."""
    from greenroom.lab import bench_quality
    from greenroom.policies.audio_config import profile_named

    if not json:
        say_error("speaking to three listeners for about 20 s …")
    report = bench_quality.run(loss, burst, profile_named(profile))
    if json:
        say_json(report)
        return
    say(f"PESQ {report.pesq:.2f}, STOI {report.stoi:.3f} at {loss:.0%} loss in runs of {burst:g}")
    say(f"{report.concealed:.1%} of what was played was made up; {report.kbps:.0f} kb/s to a listener")


@app.command()
def latency(
    profile: Annotated[str, typer.Option(help="The speaker's profile.")] = "broadcaster",
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Measure the way from a source to a sink, engine to engine through a server, and again after a lost packet."""
    from greenroom.lab import bench_latency
    from greenroom.policies.audio_config import profile_named

    if not json:
        say_error("listening for clicks for about 20 s …")
    report = bench_latency.run(profile_named(profile))
    if json:
        say_json(report)
        return
    say(
        f"{report.click_to_click_ms.median:.0f} ms from source to sink, 95 % within {report.click_to_click_ms.p95:.0f} ms"
    )
    say(f"{report.after_one_loss_ms:.0f} ms after a single lost packet")


@app.command()
def mix(
    calls: Annotated[int, typer.Option(min=1, max=100, help="How many calls are heard at once.")] = 10,
    speakers: Annotated[int, typer.Option(min=1, max=100, help="How many people speak in each.")] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Mix 20 ms of several calls of several people, and say how much CPU that takes."""
    from greenroom.lab import bench_mix

    report = bench_mix.run(calls, speakers)
    if json:
        say_json(report)
        return
    say(f"{report.mix_ms.median:.2f} ms of CPU for 20 ms of sound, 95 % within {report.mix_ms.p95:.2f} ms")
    say(
        f"{report.fading_ms.median:.2f} ms while gains and places change, 95 % within {report.fading_ms.p95:.2f} ms"
    )


@app.command()
def focus(
    switches: Annotated[int, typer.Option(min=2, max=1000, help="How often to switch.")] = 30,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Switch between two calls on a server: how soon it is heard, how many microphones are open, what leaks."""
    from greenroom.lab import bench_focus

    if not json:
        say_error(f"switching {switches} times between two calls, for about half a minute …")
    report = bench_focus.run(switches)
    if json:
        say_json(report)
        return
    say(
        f"{report.switch_ms.median:.0f} ms from the request to half of the fade, "
        f"95 % within {report.switch_ms.p95:.0f} ms"
    )
    say(
        f"{report.holders_max} microphone open at once, at most · the loudest leak is {report.leak_db:.0f} dB"
    )
