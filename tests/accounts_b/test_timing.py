"""What the time of an answer tells: nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import pytest
from actors import USERS
from conftest import InProcess
from factories import PASSWORD, new_email
from pymongo.database import Database

from accounts_b.conftest import sign_up
from kernapay.core.bulkhead import Bulkhead
from kernapay.security.passwords import PasswordHasher

Store = Database[dict[str, Any]]
ROUNDS = 8
WRONG = "not the password"


async def _best_times(
    attempts: dict[str, Callable[[], Awaitable[object]]], times: int
) -> dict[str, float]:
    """The shortest time of each, taken in turns: what else the machine does only ever adds."""
    taken: dict[str, list[float]] = {name: [] for name in attempts}
    for _ in range(times):
        for name, attempt in attempts.items():
            started = perf_counter()
            await attempt()
            taken[name].append(perf_counter() - started)
    return {name: min(values) for name, values in taken.items()}


@pytest.mark.anyio
async def test_a_wrong_password_takes_as_long_whatever_is_stored() -> None:
    """Also for hashes cheaper than today's: made before SALT_ROUNDS rose, or by the former service."""
    pool = Bulkhead("timing", 1)
    today, cheaper = PasswordHasher(ROUNDS, pool), PasswordHasher(ROUNDS - 3, pool)
    stored = {
        "unknown": None,
        "known": await today.hash("the password"),
        "older": await cheaper.hash("the password"),
        "former": "$2b$06$j0bm1ADy/ClJQMGv/3rr4ukp3vfK1AEKeAy5cKvoGqBrfb41DK1Ya",
    }
    times = await _best_times(
        {name: lambda h=hashed: today.verify(WRONG, h) for name, hashed in stored.items()}, 15
    )
    pool.close()
    assert max(times.values()) < 1.3 * min(times.values()), times


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

        times = await _best_times(
            {
                "unknown": attempt(new_email(), WRONG),
                "wrong": attempt(known, WRONG),
                "inactive": attempt(inactive, PASSWORD),
            },
            15,
        )
    assert max(times.values()) < 1.3 * min(times.values()), times
