"""`python -m greenroom.server`: the same as `greenroom serve`, for whoever starts a server as a child."""

from __future__ import annotations

import argparse
import logging
import sys

from greenroom.errors import GreenroomError
from greenroom.protocol.ice import TURN_SECONDS
from greenroom.server.options import DEFAULT_PORT, ServeOptions, command_words
from greenroom.server.serve import run


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Return the exit code: 0, or 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="python -m greenroom.server", description="Serve rooms.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--database", default="", help="a database URL; SQLite in the data directory without")
    parser.add_argument("--data", default="", help="where secret and database are")
    parser.add_argument("--media-workers", type=int, default=1)
    parser.add_argument("--media-announce", default="")
    parser.add_argument("--tls-certificate", default="")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--insecure", action="store_true", help="listen beyond this machine without TLS")
    parser.add_argument("--open-guests", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--allow-host", action="append", default=[])
    parser.add_argument("--allow-origin", action="append", default=[])
    parser.add_argument("--stun", action="append", default=[], help="a STUN server, HOST:PORT")
    parser.add_argument("--turn", action="append", default=[], help="a TURN server, HOST:PORT")
    parser.add_argument("--turn-secret-file", default="")
    parser.add_argument("--turn-seconds", type=float, default=TURN_SECONDS)
    parser.add_argument("--push-command", default="", help="a program told of rings and missed calls")
    parser.add_argument("--push-webhook", default="", help="an address told of rings and missed calls")
    parser.add_argument("--push-secret-file", default="")
    parser.add_argument("--grace-seconds", type=float, default=30.0)
    parser.add_argument("--resume-seconds", type=float, default=120.0)
    parser.add_argument("--json", action="store_true", help="say in JSON where it listens")
    parser.add_argument("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--parent-fd", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        options = ServeOptions(
            host=given.host,
            port=given.port,
            database=given.database,
            data_dir=given.data,
            media_workers=given.media_workers,
            media_announce=given.media_announce,
            tls_certificate=given.tls_certificate,
            tls_key=given.tls_key,
            insecure=given.insecure,
            open_guests=given.open_guests,
            hosts=tuple(given.allow_host),
            origins=tuple(given.allow_origin),
            grace_seconds=given.grace_seconds,
            resume_seconds=given.resume_seconds,
            stun=tuple(given.stun),
            turn=tuple(given.turn),
            turn_secret_file=given.turn_secret_file,
            turn_seconds=given.turn_seconds,
            push_command=command_words(given.push_command),
            push_webhook=given.push_webhook,
            push_secret_file=given.push_secret_file,
        )
        run(options, as_json=given.json, ready_fd=given.ready_fd, parent_fd=given.parent_fd)
    except GreenroomError as error:
        print(f"greenroom: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
