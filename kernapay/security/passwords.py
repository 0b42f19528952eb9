"""Password hashes: bcrypt by passlib, in a thread pool of its own."""

from typing import Final

from passlib.context import CryptContext

from kernapay.core.bulkhead import Bulkhead

MAX_LENGTH: Final = 128
MIN_LENGTH: Final = 8


class PasswordHasher:
    """Hash with bcrypt over SHA-256, so that no byte past bcrypt's 72 is ever cut off; verify plain bcrypt too."""

    def __init__(self, rounds: int, pool: Bulkhead) -> None:
        self._context = CryptContext(
            ["bcrypt_sha256", "bcrypt"],
            deprecated="auto",
            bcrypt_sha256__rounds=rounds,
            bcrypt__rounds=rounds,
        )
        self._pool = pool
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        hashed: str = await self._pool.run(self._context.hash, password)
        return hashed

    async def verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Say whether the password fits, and give a new hash when the stored one is out of date.

        Without a stored hash the work is done all the same: an unknown account must not answer faster.
        """
        return await self._pool.run(self._verify, password, hashed)

    def _verify(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        if hashed is None:
            self._context.verify(password, self._decoy_hash())
            return False, None
        # Plain bcrypt hashes come from the service this one replaces; bcrypt refuses what passes 72 bytes.
        if len(password.encode()) > 72 and not hashed.startswith("$bcrypt-sha256$"):
            self._context.verify("", self._decoy_hash())
            return False, None
        fits, newer = self._context.verify_and_update(password, hashed)
        return bool(fits), newer

    def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = self._context.hash("decoy")
        return self._decoy
