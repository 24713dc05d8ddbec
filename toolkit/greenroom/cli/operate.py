"""Commands of whoever runs a server: serve, token, doctor, config."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from greenroom.cli import access
from greenroom.cli.config import resolve
from greenroom.cli.doctor import examine
from greenroom.cli.output import Exit, say, say_json, table
from greenroom.errors import Malformed
from greenroom.protocol.call_types import CallType
from greenroom.protocol.ice import TURN_SECONDS
from greenroom.protocol.ids import ADMIN, Role, UserId, parse_cid, parse_user
from greenroom.protocol.permissions import Capability
from greenroom.server.tokens import load_keys, mint

types_app = typer.Typer(help="The kinds of room.", rich_markup_mode=None)
config_app = typer.Typer(help="The configuration in force.", rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="Address of the server.")]
DataOption = Annotated[str | None, typer.Option(help="Folder of the database and the secret.")]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Database URL; SQLite in the data folder without.")
    ] = None,
    data: DataOption = None,
    media_workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Media processes, one a core at most.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Certificate file (PEM), with --tls-key.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key file (PEM) of the certificate.")] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Listen beyond this machine without TLS: anybody on the way can listen in."
        ),
    ] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Another web origin whose pages may connect, e.g. http://127.0.0.1:8888."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name under which browsers reach this server.")
    ] = None,
    open_guests: Annotated[
        bool | None,
        typer.Option(
            "--open-guests/--no-open-guests", help="Whether a room's link is enough to come in as a guest."
        ),
    ] = None,
    stun: Annotated[
        list[str] | None, typer.Option(help="A STUN server that clients are told of, HOST:PORT.")
    ] = None,
    turn: Annotated[
        list[str] | None, typer.Option(help="A TURN server that clients are told of, HOST:PORT.")
    ] = None,
    turn_secret_file: Annotated[
        Path | None, typer.Option(help="The secret shared with the TURN server; see config coturn.")
    ] = None,
    turn_seconds: Annotated[
        float, typer.Option(min=60.0, max=86400.0, help="How long TURN credentials are good for.")
    ] = TURN_SECONDS,
    push_command: Annotated[
        str | None,
        typer.Option(
            help="A command run when it rings for somebody who is not connected; JSON on its input."
        ),
    ] = None,
    push_webhook: Annotated[
        str | None, typer.Option(help="An https address told the same, signed with --push-secret-file.")
    ] = None,
    push_secret_file: Annotated[
        Path | None, typer.Option(help="The secret that signs webhooks, one line of 16 characters or more.")
    ] = None,
) -> None:
    """Run the server: rooms, sound and the browser page. Ends on Ctrl-C or SIGTERM, after telling everybody."""
    from greenroom.server.options import ServeOptions, command_words
    from greenroom.server.serve import run

    config = resolve(
        {"host": host, "port": port, "database": database, "data": data, "media_workers": media_workers}
    ).config
    run(
        ServeOptions(
            host=config.host,
            port=config.port,
            database=config.database,
            data_dir=config.data,
            media_workers=config.media_workers,
            tls_certificate=str(tls_certificate or ""),
            tls_key=str(tls_key or ""),
            insecure=insecure,
            hosts=tuple(allow_host or ()),
            origins=tuple(allow_origin or ()),
            open_guests=open_guests,
            stun=tuple(stun or ()),
            turn=tuple(turn or ()),
            turn_secret_file=str(turn_secret_file or ""),
            turn_seconds=turn_seconds,
            push_command=command_words(push_command or ""),
            push_webhook=push_webhook or "",
            push_secret_file=str(push_secret_file or ""),
        )
    )


def token(
    room: Annotated[
        str | None, typer.Argument(metavar="[ROOM]", help="The only room it is good for.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="For whom; somebody new without.")] = None,
    name: Annotated[str, typer.Option(help="What others see.")] = "",
    role: Annotated[str, typer.Option(help="user, guest, anonymous or admin.")] = "guest",
    seconds: Annotated[float, typer.Option(min=1.0, max=86400.0, help="How long it is good for.")] = 3600.0,
    link: Annotated[
        bool, typer.Option("--link", help="Print the room's link with the token in its fragment.")
    ] = False,
    data: DataOption = None,
    json: Json = False,
) -> None:
    """Make a token with this machine's own secret. Whoever has it may come in as whom it names."""
    config = resolve({"data": data}).config
    keys = load_keys(access.secret_of(config))
    cid = None if room is None else parse_cid(room)
    if link and cid is None:
        raise Malformed("a link needs the room it leads to: greenroom token ROOM --link")
    person = parse_user(user) if user else UserId(f"{role}-{secrets.token_hex(4)}")
    made = mint(keys, person, time.time(), name=name, role=Role(role), seconds=seconds, bound_to=cid)
    address = f"{config.server.rstrip('/')}/r/{cid}#token={made.token}"
    if json:
        shown = {"user": person, "token": made.token, "expires_at": made.expires_at}
        say_json({**shown, "link": address} if link else shown)
    else:
        say(address if link else made.token)


def doctor(json: Json = False) -> None:
    """Say what works on this machine, and the one line that mends what does not."""
    findings = list(examine(resolve().config))
    if json:
        say_json(findings)
    else:
        marks = {"ok": "✓ ok", "limited": "! limited", "broken": "✗ broken"}
        say(
            table(
                ("part", "state", "what was found"),
                [(one.part, marks[one.state], one.words) for one in findings],
            )
        )
        for one in findings:
            if one.mend:
                say(f"\n{one.part}: {one.mend}")
    if any(one.state == "broken" for one in findings):
        raise typer.Exit(Exit.FAILED)


@types_app.callback(invoke_without_command=True)
def types(context: typer.Context) -> None:
    """The kinds of room, their settings, and what each role may do in them; alone, list them."""
    if context.invoked_subcommand is None:
        types_list()


@types_app.command("show")
def types_show(
    name: Annotated[str, typer.Argument(help="The call type.")],
    server: ServerOption = None,
    json: Json = False,
) -> None:
    """Show one call type whole; --json gives what `put` takes."""
    config = resolve({"server": server}).config
    access.require_server(config)
    with access.client(config, role=ADMIN) as client:
        found = {kind.name: kind for kind in client.blocking.call_types()}
    kind = found.get(name)
    if kind is None:
        raise Malformed(f"there is no call type '{name}'; this server has {', '.join(found)}")
    if json:
        say_json(kind)
        return
    say(f"{kind.name}: {'starts backstage' if kind.settings.backstage else 'live at once'}")
    for role, capabilities in kind.grants.items():
        say(f"\n{role} may:")
        for capability in sorted(capabilities):
            say(f"  {capability}")


@types_app.command("list")
def types_list(server: ServerOption = None, json: Json = False) -> None:
    """List the call types of a server; --json gives what `put` takes."""
    config = resolve({"server": server}).config
    access.require_server(config)
    with access.client(config, role=ADMIN) as client:
        found = client.blocking.call_types()
    if json:
        say_json(found)
        return
    rows = [
        (
            kind.name,
            "backstage" if kind.settings.backstage else "live",
            ", ".join(role for role, may in kind.grants.items() if Capability.SEND_AUDIO in may) or "none",
            "everybody else" if kind.settings.audio.access_request else "nobody",
        )
        for kind in found
    ]
    say(table(("type", "starts", "roles that may speak", "who raises a hand"), rows))


@types_app.command("put")
def types_put(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A call type as JSON.")],
    server: ServerOption = None,
) -> None:
    """Add or replace a call type. Rooms that exist keep what they have."""
    config = resolve({"server": server}).config
    try:
        kind = msgspec.json.decode(file.read_bytes(), type=CallType)
    except (OSError, msgspec.MsgspecError) as error:
        raise Malformed(f"{file} is not a call type: {error}; see greenroom types list --json") from None
    with access.client(config, role=ADMIN) as client:
        client.blocking.put_call_type(kind)
    say(f"the server has '{kind.name}' now")


@config_app.callback()
def config() -> None:
    """The configuration in force."""


@config_app.command("show")
def config_show(json: Json = False) -> None:
    """Show every setting and where it came from. A token is never shown."""
    found = resolve()
    values = {name: getattr(found.config, name) for name in found.config.__struct_fields__}
    values["token"] = "set" if values["token"] else ""
    if json:
        say_json({"file": str(found.file), "settings": values, "origins": found.origins})
        return
    say(f"file: {found.file}{'' if found.file.exists() else ' (not there)'}\n")
    say(
        table(
            ("setting", "value", "from"),
            [(name, str(value), found.origins[name]) for name, value in values.items()],
        )
    )


@config_app.command("coturn")
def config_coturn(
    host: Annotated[
        str, typer.Option(help="Name or address under which people reach the TURN server.")
    ] = "turn.example.org",
    write: Annotated[
        Path | None,
        typer.Option(help="Write it and a fresh secret into this folder instead.", file_okay=False),
    ] = None,
) -> None:
    """Print a configuration of coturn, a TURN server, that fits this one and reaches no private address."""
    from greenroom.server.coturn import coturn_config, write_coturn

    if write is None:
        say(coturn_config(host, "REPLACE_ME").rstrip())
        return
    config, secret = write_coturn(write, host)
    say(
        f"wrote {config} for coturn and {secret}; then: greenroom serve --turn {host} --turn-secret-file {secret}"
    )
