from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest

from tests.actors import USERS
from tests.aliases import Json, json_of
from tests.clocks import FrozenClock
from tests.factories import PASSWORD, sign_up_body


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


_HOSTS = count(1)


@pytest.fixture
def address() -> Callable[[], dict[str, str]]:
    """Return the header of a client at an address that no other test has used."""
    return lambda: {"X-Forwarded-For": "198.18.{}.{}".format(*divmod(next(_HOSTS), 256))}


async def sign_up(client: httpx.AsyncClient, **changes: Any) -> Json:
    """Open an account in an application of the test's own process; return its body."""
    body = sign_up_body(**changes)
    answer = await client.post(f"{USERS}/signup", json=body)
    assert answer.status_code == 201, answer.text
    return body


async def sign_in(
    client: httpx.AsyncClient, email: str, password: str = PASSWORD, **options: Any
) -> Json:
    answer = await client.post(
        f"{USERS}/login", json={"email": email, "password": password}, **options
    )
    assert answer.status_code == 200, answer.text
    return json_of(answer)
