"""Tokens, passwords and signatures, with keys and clocks of their own."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import pytest
import razorpay
from hypothesis import given
from hypothesis import strategies as st
from jose import jwt

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unauthenticated
from kernapay.gateway.signatures import checkout_signature_fits, webhook_signature_fits
from kernapay.security.passwords import PasswordHasher
from kernapay.security.tokens import TokenIssuer
from tests.clocks import FrozenClock

SECRET = "unit-tests-4f0c9a1be27d48ffb1c2d3e4f5a6"
OTHER = "another-4f0c9a1be27d48ffb1c2d3e4f5a6b7c8"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
USER = "66b1f0c2a7d4e5f601234567"
CLAIMS = {
    "iss": "kernapay",
    "aud": "kernapay-api",
    "sub": USER,
    "sid": "session",
    "iat": int(NOON.timestamp()),
    "exp": int(NOON.timestamp()) + 3600,
}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def tokens(clock: FrozenClock) -> TokenIssuer:
    return TokenIssuer([SECRET], timedelta(days=7), clock)


def signed(key: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return str(jwt.encode(claims, key, algorithm=algorithm))


def plain(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_token_says_whose_it_is_and_of_which_session(tokens: TokenIssuer) -> None:
    claims = tokens.read(tokens.issue(USER, "session", NOON + timedelta(hours=1)))
    assert (claims.sub, claims.sid) == (USER, "session")
    assert claims.exp - claims.iat == 3600


def test_a_token_ends_when_it_says_though_it_was_read_before(
    tokens: TokenIssuer, clock: FrozenClock
) -> None:
    token = tokens.issue(USER, "session", NOON + timedelta(hours=1))
    tokens.read(token)
    clock.now = NOON + timedelta(minutes=59)
    tokens.read(token)
    clock.now = NOON + timedelta(hours=1)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.read(token)


def test_the_tests_own_token_would_be_accepted(tokens: TokenIssuer) -> None:
    assert tokens.read(signed()).sub == USER


NONE = f"{plain({'alg': 'none', 'typ': 'JWT'})}.{plain(CLAIMS)}."
UNSIGNED = f"{plain({'alg': 'HS256', 'typ': 'JWT'})}.{plain(CLAIMS)}."


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(NONE, id="alg none"),
        pytest.param(
            NONE.replace(plain({"alg": "none", "typ": "JWT"}), plain({"alg": "None"})),
            id="alg None",
        ),
        pytest.param(UNSIGNED, id="no signature"),
        pytest.param(signed(OTHER), id="another key"),
        pytest.param(signed(""), id="empty key"),
        pytest.param(signed(algorithm="HS384"), id="another algorithm"),
        pytest.param(signed(algorithm="HS512"), id="yet another algorithm"),
        pytest.param(signed(aud="another-api"), id="another audience"),
        pytest.param(signed(aud=None), id="no audience"),
        pytest.param(signed(iss="somebody"), id="another issuer"),
        pytest.param(signed(iss=None), id="no issuer"),
        pytest.param(signed(exp=None), id="no end"),
        pytest.param(signed(iat=None), id="no beginning"),
        pytest.param(signed(sub=None), id="nobody's"),
        pytest.param(signed(sid=None), id="no session"),
        pytest.param(signed(exp=int(NOON.timestamp()) - 1), id="expired"),
        pytest.param(signed(exp="tomorrow"), id="end that is no time"),
        pytest.param(signed(sub={"$ne": ""}), id="operator as subject"),
        pytest.param(signed(sub="$ne"), id="no user id"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="nonsense"),
        pytest.param("..", id="dots"),
        pytest.param("x" * 100_000, id="enormous"),
        pytest.param(signed() + "x", id="something added"),
        pytest.param(signed()[:-2], id="something missing"),
        pytest.param("ü" * 10, id="not ASCII"),
        pytest.param("\ud800.\ud800.\ud800", id="not even text"),
    ],
)
def test_any_other_token_is_refused(tokens: TokenIssuer, token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read(token)


def test_a_token_with_other_claims_and_the_old_signature_is_refused(tokens: TokenIssuer) -> None:
    head, _, signature = signed().split(".")
    with pytest.raises(Unauthenticated):
        tokens.read(f"{head}.{plain({**CLAIMS, 'sub': 'f' * 24})}.{signature}")


def test_tokens_that_are_not_ours_do_not_push_out_what_is_remembered_of_ours(
    tokens: TokenIssuer,
) -> None:
    ours = signed()
    for token in (ours, signed(OTHER), "a.b.c", ours + "x", ours):
        with suppress(Unauthenticated):
            tokens.read(token)
    remembered = tokens._verify_cached.cache_info()
    assert (remembered.hits, remembered.currsize) == (1, 1)


@given(st.text(max_size=200))
def test_no_text_is_a_token_and_none_breaks_the_reader(text: str) -> None:
    with pytest.raises(Unauthenticated):
        TokenIssuer([SECRET], timedelta(days=7)).read(text)


def test_the_previous_secret_is_accepted_and_the_current_one_signs(clock: FrozenClock) -> None:
    rotated = TokenIssuer([OTHER, SECRET], timedelta(days=7), clock)
    assert rotated.read(signed()).sub == USER
    token = rotated.issue(USER, "session", NOON + timedelta(hours=1))
    with pytest.raises(Unauthenticated):
        TokenIssuer([SECRET], timedelta(days=7), clock).read(token)


@pytest.fixture
def pool() -> Iterator[Bulkhead]:
    pool = Bulkhead("hashing", 2)
    yield pool
    pool.close()


@pytest.fixture
def passwords(pool: Bulkhead) -> PasswordHasher:
    return PasswordHasher(4, pool)


@pytest.mark.anyio
@pytest.mark.parametrize("password", ["correct horse", "ü" * 64, "x" * 128, " spaces "])
async def test_a_password_fits_its_own_hash_only(passwords: PasswordHasher, password: str) -> None:
    hashed = await passwords.hash(password)
    assert password not in hashed
    assert await passwords.verify(password, hashed) == (True, None)
    assert (await passwords.verify(password + "x", hashed))[0] is False


@pytest.mark.anyio
async def test_no_byte_of_a_long_password_is_cut_off(passwords: PasswordHasher) -> None:
    """bcrypt by itself looks at 72 bytes."""
    hashed = await passwords.hash("x" * 72 + "end")
    assert (await passwords.verify("x" * 72 + "other", hashed))[0] is False
    assert (await passwords.verify("x" * 72, hashed))[0] is False


@pytest.mark.anyio
async def test_two_hashes_of_one_password_differ(passwords: PasswordHasher) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


@pytest.mark.anyio
async def test_a_hash_of_the_old_service_fits_and_is_renewed(passwords: PasswordHasher) -> None:
    old = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    assert old.startswith("$2b$")
    fits, newer = await passwords.verify("correct horse", old)
    assert fits
    assert newer is not None
    assert await passwords.verify("correct horse", newer) == (True, None)
    assert await passwords.verify("wrong horse", old) == (False, None)


@pytest.mark.anyio
async def test_an_old_hash_of_a_changed_password_fits_what_was_typed(
    passwords: PasswordHasher,
) -> None:
    """The Express service wrote `&lt;` for `<` before it hashed. Today's hashes are of what was typed."""
    old = bcrypt.hashpw(b"a&lt;b&lt;&amp;", bcrypt.gensalt(4)).decode()
    fits, newer = await passwords.verify("a<b<&amp;", old)
    assert fits
    assert newer is not None
    assert await passwords.verify("a<b<&amp;", newer) == (True, None)
    assert (await passwords.verify("a&lt;b&lt;&amp;", newer))[0] is False
    own = await passwords.hash("a&lt;b")
    assert await passwords.verify("a<b", own) == (False, None)


@pytest.mark.anyio
async def test_a_long_password_and_an_old_hash_are_no_error(passwords: PasswordHasher) -> None:
    old = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.verify("x" * 73, old) == (False, None)


@pytest.mark.anyio
async def test_a_hash_with_fewer_rounds_is_renewed(pool: Bulkhead) -> None:
    cheap = await PasswordHasher(4, pool).hash("correct horse")
    fits, newer = await PasswordHasher(5, pool).verify("correct horse", cheap)
    assert fits
    assert newer is not None


@pytest.mark.anyio
async def test_nobody_has_no_password(passwords: PasswordHasher) -> None:
    assert await passwords.verify("anything", None) == (False, None)


@pytest.mark.anyio
async def test_hashing_does_not_hold_up_the_event_loop(pool: Bulkhead) -> None:
    slow = PasswordHasher(11, pool)
    hashing = asyncio.create_task(slow.hash("correct horse"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 10


# Published with Razorpay's SDKs and documentation.
KEY = "EnLs21M47BllR3X8PSFtjtbd"
FULL = "0d4e745a1838664ad6c9c9902212a32d627d68e917290b0ad5f08ff4561bc50f"
VECTORS = [
    (
        "key_secret",
        "fake_order_id",
        "fake_payment_id",
        "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89",
    ),
    (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", FULL),
]


@pytest.mark.parametrize(("key", "order", "payment", "signature"), VECTORS)
def test_the_published_checkout_signatures_fit(
    key: str, order: str, payment: str, signature: str
) -> None:
    assert checkout_signature_fits([key.encode()], order, payment, signature)


@pytest.mark.parametrize(
    ("key", "order", "payment", "signature"),
    [
        (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1m", FULL),
        (KEY, "order_IEIaMR65cu6nz4", "pay_IH4NVgf4Dreq1l", FULL),
        (KEY, "pay_IH4NVgf4Dreq1l", "order_IEIaMR65cu6nz3", FULL),
        ("another", "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", FULL),
        (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", FULL.upper()),
        (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", FULL[:-1]),
        (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", ""),
        (KEY, "order_IEIaMR65cu6nz3", "pay_IH4NVgf4Dreq1l", "ü\ud800"),
    ],
)
def test_no_other_checkout_signature_fits(
    key: str, order: str, payment: str, signature: str
) -> None:
    assert not checkout_signature_fits([key.encode()], order, payment, signature)


def signature_by_openssl(secret: str, body: bytes) -> str:
    """Return the signature that another program makes."""
    command = ["openssl", "dgst", "-sha256", "-hmac", secret, "-r"]
    return subprocess.run(command, input=body, capture_output=True, check=True).stdout[:64].decode()


BODIES = [b'{"event":"payment.captured"}', b"", b"\xff\x00 not text", '{"note":"₹"}'.encode()]


@pytest.mark.parametrize("body", BODIES)
def test_a_webhook_fits_with_the_current_and_the_previous_secret(body: bytes) -> None:
    for secret in ("current", "previous"):
        signature = signature_by_openssl(secret, body)
        assert webhook_signature_fits([b"current", b"previous"], body, signature)
    assert not webhook_signature_fits([b"current"], body, signature_by_openssl("previous", body))


def test_a_webhook_is_signed_byte_by_byte() -> None:
    body = b'{"event": "payment.captured"}'
    signature = signature_by_openssl("secret", body)
    assert webhook_signature_fits([b"secret"], body, signature)
    same_document = b'{"event":"payment.captured"}'
    assert not webhook_signature_fits([b"secret"], same_document, signature)


@pytest.mark.parametrize("signature", ["", "ü", "\ud800", "0" * 64, "x" * 100_000])
def test_what_is_no_signature_is_refused_not_an_error(signature: str) -> None:
    assert not webhook_signature_fits([b"secret"], b"{}", signature)


def test_without_a_secret_nothing_fits() -> None:
    assert not webhook_signature_fits([], b"{}", signature_by_openssl("x", b"{}"))


def test_the_sdk_agrees_about_webhooks() -> None:
    body = '{"event":"payment.captured","note":"₹"}'
    sdk = razorpay.Utility()
    signature = signature_by_openssl("secret", body.encode())
    assert sdk.verify_webhook_signature(body, signature, "secret")
    assert webhook_signature_fits([b"secret"], body.encode(), signature)
