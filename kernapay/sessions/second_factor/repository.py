"""Every query on second factors."""

from typing import Any

from kernapay.sessions.models import SecondFactor
from kernapay.storage.repository import Repository


class SecondFactorRepository(Repository[SecondFactor]):
    model = SecondFactor

    async def of_account(self, user_id: str) -> SecondFactor | None:
        return await self.get_one_or_none(id=user_id)

    async def use_step(self, user_id: str, step: int, sealed: bytes | None) -> bool:
        """Record that the code of a time step was used. Return False if it, or a later one, was used before.

        `sealed` is the key under a newer secret, if it was sealed with an older one.
        """
        change: dict[str, Any] = {"set__last_step": step}
        if sealed is not None:
            change["set__sealed"] = sealed
        return await self.update_where({"id": user_id, "last_step__lt": step}, **change) is not None

    async def use_recovery_code(self, user_id: str, code_hash: str) -> bool:
        """Delete a recovery code. Return False if the account has no such code, or it was used before."""
        where = {"id": user_id, "recovery_hashes": code_hash}
        return await self.update_where(where, pull__recovery_hashes=code_hash) is not None

    async def remove(self, user_id: str) -> bool:
        """Delete the account's second factor. Return False if it has none."""
        return await self.delete_where(id=user_id) == 1
