from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from greenroom.errors import Malformed, SetUpIncomplete, Unauthorized
from greenroom.protocol.ids import ADMIN, GUEST, HOST, Cid, UserId
from greenroom.server.tokens import Keys, load_keys, mint, new_keys, verify

KEYS = Keys("new", {"new": b"n" * 32, "old": b"o" * 32})
NOW = int(time.time())
GOOD: dict[str, Any] = {
    "sub": "ann",
    "aud": "greenroom",
    "iat": NOW,
    "exp": NOW + 7200,
    "jti": "1",
    "role": "user",
}


def signed(
    secret: bytes = b"n" * 32, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any
) -> str:
    wanted = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return jwt.encode(wanted, secret, algorithm, headers={"kid": "new"} if headers is None else headers)


def unsigned(header: object, claims: object, signature: str = "") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims)}.{signature}"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="not base64"),
        pytest.param(unsigned({"alg": "none"}, GOOD), id="algorithm none"),
        pytest.param(unsigned({"alg": "NoNe", "kid": "new"}, GOOD), id="algorithm none in other letters"),
        pytest.param(unsigned({"alg": "HS256", "kid": "new"}, GOOD), id="no signature"),
        pytest.param(unsigned([], GOOD), id="a header that is a list"),
        pytest.param(unsigned({"alg": "HS256"}, []), id="claims that are a list"),
        pytest.param(signed(b"x" * 32), id="signed by somebody else"),
        pytest.param(signed(algorithm="HS512", secret=b"n" * 64), id="another algorithm"),
        pytest.param(signed(algorithm="HS384", secret=b"n" * 48), id="another algorithm of the family"),
        pytest.param(signed(headers={"kid": "../../etc/passwd"}), id="a path as key id"),
        pytest.param(signed(headers={"kid": "' OR 1=1 --"}), id="a query as key id"),
        pytest.param(signed(b"o" * 32), id="the old key under the new one's id"),
        pytest.param(signed(exp=None), id="no end"),
        pytest.param(signed(iat=None), id="no beginning"),
        pytest.param(signed(aud=None), id="no audience"),
        pytest.param(signed(sub=None), id="nobody"),
        pytest.param(signed(jti=None), id="no id"),
        pytest.param(signed(jti=""), id="an empty id"),
        pytest.param(signed(aud="elsewhere"), id="for elsewhere"),
        pytest.param(signed(aud=["greenroom", "elsewhere"]), id="for us among others"),
        pytest.param(signed(exp=NOW - 60), id="expired"),
        pytest.param(signed(exp=NOW + 90_000), id="lives more than a day"),
        pytest.param(signed(exp=10**400), id="ends after the stars"),
        pytest.param(signed(iat=NOW + 3600, exp=NOW + 7200), id="begins in an hour"),
        pytest.param(signed(nbf=NOW + 3600), id="not before an hour"),
        pytest.param(signed(iat=NOW + 20, exp=NOW + 10), id="ends before it begins"),
        pytest.param(signed(sub="a b"), id="a user id with a space"),
        pytest.param(signed(sub="x" * 65), id="a user id that is too long"),
        pytest.param(signed(role="host"), id="a role that is given in a room"),
        pytest.param(signed(role="root"), id="a role that does not exist"),
        pytest.param(signed(name={"a": 1}), id="a name that is no text"),
        pytest.param(signed(cid="no colon"), id="bound to what is no room"),
        pytest.param(
            signed(headers={"kid": "new", "crit": ["x"], "x": 1}), id="a critical header we do not know"
        ),
        pytest.param(signed(name="x" * 9_000), id="more than 8 kB"),
        pytest.param(signed() + "=", id="padding at the end"),
    ],
)
def test_a_token_that_is_not_ours_whole_and_current_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized):
        verify(KEYS, token)


def test_a_token_says_who_and_for_which_room() -> None:
    now = int(time.time())  # not when this file was read, which may be minutes ago
    token = mint(KEYS, UserId("ann"), now, name="Ann", role=GUEST, bound_to=Cid("audio_room:x"))
    claims = verify(KEYS, token.token)
    assert (claims.user, claims.name, claims.role, claims.bound_to) == ("ann", "Ann", GUEST, "audio_room:x")
    assert claims.expires_at == token.expires_at == now + 120


def test_a_token_of_the_old_key_is_good_while_keys_are_changed() -> None:
    assert verify(KEYS, signed(b"o" * 32, headers={"kid": "old"})).user == "ann"


def test_a_name_in_a_token_is_made_safe() -> None:
    assert verify(KEYS, signed(name="A\x1b[31mnn\u202e")).name == "A[31mnn"


@pytest.mark.parametrize(
    ("role", "seconds"),
    [pytest.param(HOST, 60.0, id="a role of a room"), pytest.param(ADMIN, 90_000.0, id="a day and an hour")],
)
def test_a_token_that_would_be_refused_is_not_made(role: Any, seconds: float) -> None:
    with pytest.raises(Malformed):
        mint(KEYS, UserId("ann"), NOW, role=role, seconds=seconds)


def test_a_token_does_not_show_itself() -> None:
    token = mint(KEYS, UserId("ann"), NOW)
    assert token.token not in repr(token)
    assert "6e6e" not in repr(KEYS)
    assert "nnnn" not in repr(KEYS)


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "secret"
    keys = load_keys(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(keys.secrets[keys.current]) == 32
    assert load_keys(file) == keys
    assert load_keys(tmp_path / "other") != keys


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        pytest.param("1 " + "ab" * 31, 0o600, "shorter", id="a weak secret"),
        pytest.param("1 not-hex", 0o600, "damaged", id="not a secret"),
        pytest.param("", 0o600, "0 secrets", id="no secret"),
        pytest.param("\n".join(f"{n} {'ab' * 32}" for n in range(3)), 0o600, "3 secrets", id="three secrets"),
        pytest.param("1 " + "ab" * 32, 0o644, "chmod 600", id="a file others can read"),
    ],
)
def test_a_secret_that_is_not_one_stops_the_start_with_advice(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(SetUpIncomplete, match=words):
        load_keys(file)


def test_fresh_keys_verify_what_they_sign() -> None:
    keys = new_keys()
    token = mint(keys, UserId("ann"), time.time()).token
    assert verify(keys, token).user == "ann"
    with pytest.raises(Unauthorized):
        verify(new_keys(), token)
