from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import pytest

from tests.actors import USERS
from tests.factories import PASSWORD, sign_up_body


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self._now

    def pass_by(self, **amount: float) -> None:
        self._now += timedelta(**amount)


@pytest.fixture
def time() -> Time:
    return Time()


_HOSTS = count(1)


@pytest.fixture
def address() -> Callable[[], dict[str, str]]:
    """Give the header of a client at an address that no other test has used."""
    return lambda: {"X-Forwarded-For": "198.18.{}.{}".format(*divmod(next(_HOSTS), 256))}


async def sign_up(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """Open an account in an application of the test's own process; its body."""
    body = sign_up_body(**changes)
    answer = await client.post(f"{USERS}/signup", json=body)
    assert answer.status_code == 201, answer.text
    return body


async def sign_in(
    client: httpx.AsyncClient, email: str, password: str = PASSWORD, **options: Any
) -> dict[str, Any]:
    answer = await client.post(
        f"{USERS}/login", json={"email": email, "password": password}, **options
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['token']}"}
