"""Passwords: what a good one is, and hashes of them by passlib, in a thread pool of its own."""

import re
from typing import Final

from passlib.context import CryptContext
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import InvalidInput

MAX_LENGTH: Final = 128
MIN_LENGTH: Final = 8
# Most used first; further down the list stand words that only look common.
_COMMON: Final = frozenset(FREQUENCY_LISTS["passwords"][:10_000])
_SHORTEST_NAME: Final = 3
_OWN_CHARACTERS: Final = 4
_SCHEME: Final = "bcrypt_sha256"
_ROUNDS: Final = re.compile(r"^\$bcrypt-sha256\$.*\br=(\d+)|^\$2[abxy]\$(\d+)\$")


def check_strength(password: str, email: str, name: str) -> None:
    """Refuse short and common passwords, and those that are little more than whose they are.

    Raises InvalidInput, naming `password`.
    """
    if len(password) < MIN_LENGTH:
        raise InvalidInput(f"Use at least {MIN_LENGTH} characters.", field="password")
    if password.lower() in _COMMON:
        raise InvalidInput("This is one of the most common passwords.", field="password")
    rest = password.lower()
    local = email.lower().partition("@")[0]
    for word in sorted({local, *re.split(r"\W|_", f"{local} {name.lower()}")}, key=len)[::-1]:
        if len(word) >= _SHORTEST_NAME:
            rest = rest.replace(word, "")
    if len(rest) < _OWN_CHARACTERS:
        raise InvalidInput(
            f"Beside your name or address, use at least {_OWN_CHARACTERS} other characters.",
            field="password",
        )


class PasswordHasher:
    """Hash with bcrypt over SHA-256, so that no byte past bcrypt's 72 is ever cut off; verify plain bcrypt too."""

    def __init__(self, rounds: int, pool: Bulkhead) -> None:
        self._context = CryptContext(
            [_SCHEME, "bcrypt"],
            deprecated="auto",
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
        )
        self._rounds = rounds
        self._pool = pool

    async def hash(self, password: str) -> str:
        hashed: str = await self._pool.run(self._context.hash, password)
        return hashed

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Say whether the password fits, and give a new hash when the stored one is out of date.

        A wrong password takes as long as one for an account that is not there.
        """
        return await self._pool.run(self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        if hashed is None:
            self._context.hash(password)
            return False, None
        # Plain bcrypt hashes come from the service this one replaces; bcrypt takes neither more than
        # 72 bytes nor a NUL.
        beyond_bcrypt = len(password.encode()) > 72 or "\0" in password
        if beyond_bcrypt and not hashed.startswith("$bcrypt-sha256$"):
            self._context.hash(password)
            return False, None
        fits, newer = self._context.verify_and_update(password, hashed)
        if not fits:
            self._make_up_for(hashed, password)
        return bool(fits), newer

    def _make_up_for(self, hashed: str, password: str) -> None:
        # An old hash is cheaper. 2^r is done; r, r+1, ... up to today's rounds add up to exactly the rest.
        found = _ROUNDS.match(hashed)
        for rounds in range(int(found[1] or found[2]) if found else self._rounds, self._rounds):
            self._context.handler(_SCHEME).using(rounds=rounds).hash(password)
