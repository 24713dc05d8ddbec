"""A configuration of coturn, the TURN server, that fits a Greenroom server and reaches no private address."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from greenroom.errors import SetUpIncomplete
from greenroom.server.ice_servers import server_url

CONFIG_NAME = "turnserver.conf"
SECRET_NAME = "turn-secret"

_EXAMPLE = """\
# coturn beside a Greenroom server. Take it as /etc/turnserver.conf and start coturn; then start Greenroom with
#   greenroom serve --turn {host}:3478 --turn-secret-file FILE
# where FILE holds the same secret as below, readable by its owner only (chmod 600).

listening-port=3478
realm={host}
# external-ip=PUBLIC/PRIVATE   behind NAT: the address others see, and this machine's own

# Credentials are made by Greenroom for one person and expire; there are no accounts.
use-auth-secret
static-auth-secret={secret}
fingerprint

# Nobody may reach this machine, or machines near it, through the relay (CVE-2020-26262 and relatives).
no-multicast-peers
denied-peer-ip=0.0.0.0-0.255.255.255
denied-peer-ip=10.0.0.0-10.255.255.255
denied-peer-ip=100.64.0.0-100.127.255.255
denied-peer-ip=127.0.0.0-127.255.255.255
denied-peer-ip=169.254.0.0-169.254.255.255
denied-peer-ip=172.16.0.0-172.31.255.255
denied-peer-ip=192.0.0.0-192.0.0.255
denied-peer-ip=192.0.2.0-192.0.2.255
denied-peer-ip=192.88.99.0-192.88.99.255
denied-peer-ip=192.168.0.0-192.168.255.255
denied-peer-ip=198.18.0.0-198.19.255.255
denied-peer-ip=198.51.100.0-198.51.100.255
denied-peer-ip=203.0.113.0-203.0.113.255
denied-peer-ip=240.0.0.0-255.255.255.255
denied-peer-ip=::
denied-peer-ip=::1
denied-peer-ip=64:ff9b::-64:ff9b::ffff:ffff
denied-peer-ip=::ffff:0.0.0.0-::ffff:255.255.255.255
denied-peer-ip=100::-100::ffff:ffff:ffff:ffff
denied-peer-ip=2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
denied-peer-ip=fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff

# One person, a few calls: what somebody can cost us is bounded.
user-quota=12
total-quota=1200
max-bps=96000
no-tcp-relay
no-cli
no-software-attribute
stale-nonce=600
# cert=/etc/ssl/turn.pem
# pkey=/etc/ssl/turn.key       with both, turns: works as well: greenroom serve --turn turns:{host}:5349
"""


def coturn_config(host: str, secret: str) -> str:
    """Return the text of a configuration for `host`, a name or address. Raises `SetUpIncomplete` for what is neither."""
    server_url(f"{host}:3478", "turn")
    return _EXAMPLE.format(host=host, secret=secret)


def write_coturn(folder: Path, host: str) -> tuple[Path, Path]:
    """Write a configuration and a fresh secret into `folder`, readable by their owner only; return the two files.

    Raises `SetUpIncomplete` when one is there already, or cannot be written.
    """
    secret = secrets.token_hex(32)
    files = {folder / CONFIG_NAME: coturn_config(host, secret), folder / SECRET_NAME: f"{secret}\n"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.exists():
                raise SetUpIncomplete(f"{file} is there already; remove it, or choose another folder")
        for file, text in files.items():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(text)
    except OSError as error:
        raise SetUpIncomplete(f"cannot write into {folder}: {error.strerror}") from None
    return folder / CONFIG_NAME, folder / SECRET_NAME
