from __future__ import annotations

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from greenroom.errors import SetUpIncomplete
from tests.server.guest import CID, open_room, serving, token_for, visiting

pytestmark = pytest.mark.live


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return files


async def test_with_certificate_and_key_everything_is_encrypted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    async with serving(tmp_path, tls_certificate=str(certificate), tls_key=str(key)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(certificate))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted)) as http:
            async with http.get(f"{server.url}/api/health", headers={"Origin": server.url}) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await http.get(server.url.replace("https", "http"))
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(
                    f"{server.url}/ws", headers={"Origin": server.url.replace("https", "http")}
                )


async def test_files_that_do_not_fit_are_refused_in_words(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    _, key = make_certificate(tmp_path / "other")
    for files in ((certificate, key), (certificate, tmp_path / "missing.pem")):
        with pytest.raises(SetUpIncomplete, match="TLS"):
            async with serving(tmp_path, tls_certificate=str(files[0]), tls_key=str(files[1])):
                pass


async def test_beyond_loopback_an_address_is_a_name_and_guests_are_invited(tmp_path: Path) -> None:
    async with serving(tmp_path, host="0.0.0.0", insecure=True) as server, visiting(server.url) as visit:
        ann = await visit.enter(token_for(tmp_path, "ann"))
        await open_room(ann)
        async with visit.http.post(f"{server.url}/api/guest", json={"cid": CID}) as answer:
            assert answer.status == 401
        port = server.url.rpartition(":")[2]
        for host, status in ((f"192.0.2.1:{port}", 200), (f"evil.example:{port}", 421)):
            async with visit.http.get(f"{server.url}/api/health", headers={"Host": host}) as answer:
                assert answer.status == status
