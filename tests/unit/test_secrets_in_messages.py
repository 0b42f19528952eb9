"""Whatever a variable holds, no message repeats a part of it; and no password is taken for an address."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, unquote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pymongo.uri_parser import parse_uri

from kernapay.config import secret_strength
from kernapay.config.loading import ConfigurationError, load_settings
from kernapay.config.settings import Settings
from kernapay.storage import mongo_urls, redis_clients
from tests.environment import PRODUCTION, REQUIRED

pytestmark = pytest.mark.owasp(line="API8")

# Pieces that no message has in it by chance, between all that has a meaning in some URL.
PIECES: Final = ("Qzx7", "9041", "wJk", "Vbq3zz", "77")
SPECIAL: Final = (
    *"@:/?#[]%+&=;,.!$ *'\"\\^`{}|<>~-_é℀\t",
    *("//", "://", "@host", ":1/", "%2"),
)
PASSWORDS: Final = st.lists(st.sampled_from(PIECES + SPECIAL), min_size=1, max_size=9).map("".join)
MONGO: Final = ("mongodb://me:{}@db.example/kernapay", "mongodb://me:{}@db.example")
REDIS: Final = (
    *("redis://:{}@db.example/0", "rediss://me:{}@db.example"),
    *("redis+sentinel://:{}@db.example/m", "redis+cluster://me:{}@db.example"),
)


def message(base: Mapping[str, str] = REQUIRED, **changes: str) -> str:
    """Return what is said of these variables; nothing if they are accepted."""
    try:
        load_settings(None, **{n.lower(): v for n, v in {**base, **changes}.items()})
    except ConfigurationError as error:
        return str(error)
    return ""


def assert_no_part(password: str, text: str) -> None:
    assert not [piece for piece in PIECES if piece in password and piece in text]


@settings(deadline=None)
@given(st.sampled_from(MONGO), PASSWORDS)
@example(MONGO[0], "9041/Qzx7")
@example(MONGO[1], "9041?w=Qzx7")
@example(MONGO[1], "9041?w=1&Qzx7")
@example(MONGO[0], "Qzx7@wJk")
def test_a_password_of_mongodb_is_read_whole_or_refused(form: str, password: str) -> None:
    url = form.format(password)
    if text := message(MONGODB_URL=url):
        assert_no_part(password, text)
        assert "%40" in text, "it says how to escape"
        return
    found = parse_uri(url)
    assert found["nodelist"] == [("db.example", 27017)]
    assert found["password"] == unquote_plus(password)
    assert found["password"] == unquote(password) or mongo_urls.has_plus_in_login(url)


@settings(deadline=None)
@given(st.sampled_from(REDIS), PASSWORDS)
@example(REDIS[2], "9041/Qzx7")
@example(REDIS[3], "9041?Qzx7")
@example(REDIS[1], "wJk@9041/0?Qzx7")
def test_a_password_of_redis_is_read_whole_or_refused(form: str, password: str) -> None:
    url = form.format(password)
    if text := message(REDIS_URL=url):
        assert_no_part(password, text)
        assert "%40" in text, "it says how to escape"
        return
    target = redis_clients._target(redis_clients._split(url), 6379)
    assert [host for host, _ in target.nodes] == ["db.example"]
    assert target.login["password"] == (unquote(password) or None)


@given(PASSWORDS)
def test_a_password_beside_the_url_reaches_redis_whole(password: str) -> None:
    assume(password.strip())
    for form in REDIS:
        url = redis_clients.add_password(form.replace("{}@", "@").replace(":@", "@"), password)
        target = redis_clients._target(redis_clients._split(url), 6379)
        assert target.login["password"] == password


@settings(deadline=None)
@given(
    st.sampled_from(sorted(Settings.model_fields)),
    st.sampled_from(["{}", "https://{}", "https://me:{}@host.example", "rzp_live_{}"]),
    PASSWORDS,
)
def test_no_variable_shows_its_value(field: str, form: str, value: str) -> None:
    assert_no_part(value, message({**REQUIRED, field.upper(): form.format(value)}))


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(sorted(secret_strength._RULES)), PASSWORDS)
def test_no_weak_secret_is_shown(field: str, secret: str) -> None:
    assert_no_part(secret, message({**PRODUCTION, field.upper(): secret}))
