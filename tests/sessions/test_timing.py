"""What the time of an answer tells: nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from time import perf_counter

import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.security.passwords import PasswordHasher
from tests.actors import USERS
from tests.aliases import Store
from tests.factories import PASSWORD, new_email
from tests.in_process import InProcess
from tests.sessions.conftest import sign_up

pytestmark = [pytest.mark.owasp(line="API2"), pytest.mark.long]

ROUNDS = 8
TOLERATED = 1.2
WRONG = "not the password"


async def _spread(attempts: Mapping[str, Callable[[], Awaitable[object]]]) -> float:
    """Return the longest of the best times, divided by the shortest.

    Taken in turns, and on until they agree: what else the machine does only ever adds, and a difference that is there
    stays however often one looks.
    """
    best = dict.fromkeys(attempts, float("inf"))
    for turn in range(200):
        for name, attempt in attempts.items():
            started = perf_counter()
            await attempt()
            best[name] = min(best[name], perf_counter() - started)
        if turn >= 10 and max(best.values()) < TOLERATED * min(best.values()):
            break
    return max(best.values()) / min(best.values())


@pytest.mark.anyio
@pytest.mark.parametrize("wrong", [WRONG, "not the pa\u0301ssword"])
async def test_a_wrong_password_takes_as_long_whatever_is_stored(wrong: str) -> None:
    """Also for hashes cheaper than today's: made before SALT_ROUNDS rose, or by the former service."""
    pool = Bulkhead("timing", 1)
    today, cheaper = PasswordHasher(ROUNDS, pool), PasswordHasher(ROUNDS - 3, pool)
    stored = {
        "unknown": None,
        "known": await today.hash("the password"),
        "older": await cheaper.hash("the password"),
        "former": "$2b$06$j0bm1ADy/ClJQMGv/3rr4ukp3vfK1AEKeAy5cKvoGqBrfb41DK1Ya",
    }
    attempts = {name: partial(today.verify, wrong, hashed) for name, hashed in stored.items()}
    assert await _spread(attempts) < TOLERATED
    pool.close()


@pytest.mark.anyio
async def test_a_login_takes_as_long_for_no_account_as_for_one(
    in_process: InProcess, store: Store
) -> None:
    async with in_process(salt_rounds=ROUNDS) as client:
        known, inactive = [(await sign_up(client))["email"] for _ in range(2)]
        change = {"$set": {"status": "INACTIVE"}}
        await asyncio.to_thread(store.users.update_one, {"email": inactive}, change)

        def attempt(email: str, password: str) -> Callable[[], Awaitable[object]]:
            return lambda: client.post(
                f"{USERS}/login", json={"email": email, "password": password}
            )

        attempts = {
            "unknown": attempt(new_email(), WRONG),
            "wrong": attempt(known, WRONG),
            "inactive": attempt(inactive, PASSWORD),
        }
        assert await _spread(attempts) < TOLERATED
