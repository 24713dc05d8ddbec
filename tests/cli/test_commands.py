"""Every command on real input: what it prints, how it ends, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from greenroom.media.sinks import read_wav
from greenroom.media.voices import FOLDER, voices
from tests.cli.program import Place, served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(tmp_path_factory.mktemp("place")) as ready:
        yield ready


@pytest.fixture
def nowhere(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_help_names_every_command_and_a_mistake_is_usage(nowhere: Place) -> None:
    helped = nowhere.run("--help")
    assert helped.code == 0
    for command in (
        "demo",
        "serve",
        "dash",
        "join",
        "rooms",
        "hands",
        "token",
        "types",
        "doctor",
        "bench",
        "config",
    ):
        assert command in helped.out
    assert nowhere.run("frobnicate").code == 2


def test_config_show_says_where_values_come_from_and_no_token(nowhere: Place) -> None:
    (nowhere.folder / "config.toml").write_text('token = "SECRET"\nport = 7999\n')
    shown = nowhere.run("config", "show", "--json")
    assert (shown.json["settings"]["port"], shown.json["origins"]["port"]) == (7999, "file")
    assert shown.json["settings"]["token"] == "set"
    assert "SECRET" not in shown.out + nowhere.run("config", "show").out


def test_a_broken_configuration_is_refused_in_a_line(nowhere: Place) -> None:
    (nowhere.folder / "config.toml").write_text("colour = 'red'\n")
    ran = nowhere.run("rooms")
    assert ran.code == 2
    assert "colour" in ran.err
    assert "Traceback" not in ran.err


def test_without_a_server_the_code_and_the_words_say_so(nowhere: Place) -> None:
    ran = nowhere.run("rooms")
    assert ran.code == 3
    assert "127.0.0.1:9" in ran.err
    assert "Traceback" not in ran.err


def test_doctor_finds_what_works_and_mends_what_does_not(nowhere: Place) -> None:
    ran = nowhere.run("doctor", "--json")
    assert ran.code == 0
    parts = {finding["part"]: finding for finding in ran.json}
    assert parts["codec"]["words"].startswith("libopus")
    assert (
        parts["processing"]["words"]
        == "echo, noise and level by WebRTC; voice is told from noise by WebRTC's detector"
    )
    assert parts["server"]["mend"] == "greenroom serve"
    assert all(finding["mend"] for finding in ran.json if finding["state"] != "ok")


def test_greenroom_alone_in_a_pipe_points_to_help(nowhere: Place) -> None:
    ran = nowhere.run()
    assert ran.code == 0
    assert "--help" in ran.out


@pytest.mark.live
def test_a_file_played_by_one_is_heard_and_recorded_by_another(place: Place, tmp_path: Path) -> None:
    sentence = FOLDER / voices()[0].sentences[0].file
    heard = tmp_path / "heard.wav"
    with place.running("join", "talk", "--create", "--play", str(sentence), "--loop", name="Ann") as speaker:
        assert speaker.stdout is not None
        assert "in audio_room:talk as Ann" in speaker.stdout.readline()
        listened = place.run(
            "join", "talk", "--record", str(heard), "--seconds", "4", "--json", "--profile", "64k", name="Bo"
        )
    assert listened.code == 0, listened.err
    assert listened.json["heard_seconds"]["ann"] > 1.0
    audio = listened.json["audio"]
    assert (audio["bitrate"], audio["complexity"]["origin"]) == (
        {"value": 64_000, "origin": "call"},
        "broadcaster",
    )
    assert audio["processing"]["by"] == "none"
    assert float(np.sqrt(np.mean(read_wav(heard) ** 2))) > 0.01


@pytest.mark.live
def test_join_ends_with_its_file_and_rooms_lists_who_is_on(place: Place) -> None:
    sentence = FOLDER / voices()[1].sentences[0].file
    with place.running("join", "list", "--create", "--play", str(sentence), "--loop", name="Cy") as speaker:
        assert speaker.stdout is not None
        speaker.stdout.readline()
        row = next(room for room in place.run("rooms", "--json").json if room["cid"] == "audio_room:list")
        assert (row["live"], row["on_stage"]) == (True, ["Cy"])
        assert "audio_room:list" in place.run("rooms", "--live").out
        once = place.run("join", "own", "--create", "--play", str(sentence), name="Di")
        assert once.code == 0
        speaker.send_signal(signal.SIGINT)
        assert speaker.wait(15) == 0


@pytest.mark.live
def test_hands_are_shown_and_an_empty_queue_refuses_next(place: Place) -> None:
    with place.running("join", "queue", "--create", name="Eve") as host:
        assert host.stdout is not None
        host.stdout.readline()
        assert "no hand is up" in place.run("hands", "queue").out
        refused = place.run("hands", "queue", "--next")
        assert refused.code == 5
        assert "no hand is up" in refused.err
        assert host.poll() is None


@pytest.mark.live
def test_a_profile_is_used_where_the_room_allows_it(place: Place) -> None:
    refused = place.run("join", "music", "--create", "--profile", "hi-fi", name="Ada")
    assert refused.code == 5
    assert "high-fidelity" in refused.err
    assert place.run("join", "music", "--profile", "viewer", "--seconds", "1", name="Ada").code == 0
    unknown = place.run("join", "music", "--profile", "loud")
    assert unknown.code == 2
    assert "broadcaster, conversation, viewer, hi-fi" in unknown.err


@pytest.mark.live
def test_who_may_not_speak_is_told_and_who_is_pushed_out_learns_why(place: Place) -> None:
    sentence = FOLDER / voices()[0].sentences[0].file
    with place.running("join", "rules", "--create", name="Flo") as host:
        assert host.stdout is not None
        host.stdout.readline()
        silent = place.run("join", "rules", "--play", str(sentence), name="Gil")
        assert silent.code == 5
        assert "send-audio" in silent.err
        again = place.run("join", "rules", "--seconds", "1", name="Flo")
        assert again.code == 0
        assert host.wait(15) == 1
        assert host.stderr is not None
        assert "--name" in host.stderr.read()


def test_two_answers_at_once_are_a_mistake(nowhere: Place) -> None:
    assert nowhere.run("hands", "queue", "--next", "--lower-all").code == 2


@pytest.mark.live
def test_a_room_that_is_not_there_is_a_refusal(place: Place) -> None:
    ran = place.run("join", "nobody-made-this")
    assert ran.code == 5
    assert "nobody-made-this" in ran.err


@pytest.mark.live
def test_a_token_lets_in_whom_it_names_and_a_damaged_one_nobody(place: Place, tmp_path: Path) -> None:
    made = place.run("token", "--user", "zoe", "--name", "Zoë", "--role", "user", "--json").json
    stranger = Place(tmp_path, place.server)  # another machine: it has no secret
    stranger.folder.joinpath("config.toml").write_text(f'token = "{made["token"]}"\n')
    with stranger.running("join", "tokens", "--create", "--seconds", "20") as joined:
        assert joined.stdout is not None
        assert "Zoë" in joined.stdout.readline()
    stranger.folder.joinpath("config.toml").write_text(f'token = "{made["token"][:-6]}AAAAAA"\n')
    refused = stranger.run("join", "tokens")
    assert refused.code == 4
    assert made["token"][:20] not in refused.err + refused.out
    link = place.run("token", "talk", "--link")
    assert "/r/audio_room:talk#token=" in link.out


@pytest.mark.live
def test_call_types_are_seen_and_changed(place: Place, tmp_path: Path) -> None:
    kinds = {kind["name"]: kind for kind in place.run("types", "list", "--json").json}
    assert {"audio_room", "default", "livestream", "development"} <= set(kinds)
    seminar = {**kinds["audio_room"], "name": "seminar"}
    file = tmp_path / "seminar.json"
    file.write_text(json.dumps(seminar))
    assert place.run("types", "put", str(file)).code == 0
    assert "seminar" in place.run("types").out
    assert "send-audio" in place.run("types", "show", "seminar").out
    file.write_text('{"name": "x"}')
    assert place.run("types", "put", str(file)).code == 2


@pytest.mark.live
def test_a_headless_demo_says_who_was_heard_by_whom(nowhere: Place) -> None:
    ran = nowhere.run("demo", "--headless", "--seconds", "7", "--json", timeout_seconds=90.0)
    assert ran.code == 0, ran.err
    assert len(ran.out.strip().splitlines()) == 1
    report = ran.json
    assert {"ann", "ben", "cal"} <= set(report["speakers"])
    assert len(report["heard"]) == report["people"]
    listeners = [name for name in report["heard"] if name not in report["speakers"]]
    assert listeners
    for name in listeners:
        assert {"ann", "ben", "cal"} <= set(report["heard"][name])
    assert 0.0 <= report["concealed_ratio"] < 0.2  # how good it is, the demo's own tests measure


@pytest.mark.live
def test_a_demo_that_is_ended_leaves_nothing_behind(nowhere: Place) -> None:
    with nowhere.running("demo", "--headless", "--seconds", "600") as demo:
        assert demo.stdout is not None
        assert "live with" in demo.stdout.readline()
        children = _children(demo.pid)
        assert len(children) >= 2
        demo.send_signal(signal.SIGTERM)
        demo.wait(20)
    assert not [pid for pid in children if _alive(pid)]


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(child) for child in found.stdout.split()]


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
