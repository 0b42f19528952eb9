"""Sign in as the demo accounts of a running stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from kernapay.devstack.accounts import DEMO_ACCOUNTS, DEMO_PASSWORD
from kernapay.devstack.credentials import credentials


class CannotSignIn(RuntimeError):
    """The stack has no demo accounts, or they have another password."""


@contextmanager
def signed_in(api: str, home: Path, role: str) -> Iterator[httpx.Client]:
    """Yield a client of the API that is signed in as the demo account of a role. Raises CannotSignIn."""
    body = {"email": DEMO_ACCOUNTS[role], "password": credentials(home)[DEMO_PASSWORD]}
    # It runs on this machine: ignore a proxy in the environment.
    with httpx.Client(base_url=api, timeout=30, trust_env=False) as client:
        answer = client.post("/v1/api/users/login", json=body)
        if answer.status_code != 200:
            raise CannotSignIn(
                f"{body['email']} cannot sign in ({answer.status_code}). Fix: kernapay seed, or set KERNAPAY_API_KEY."
            )
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield client
