"""Decide to which account a payment is paid. A payer names it; it must be an active provider."""

from collections.abc import Awaitable, Callable

from bson import ObjectId

from kernapay.core.errors import Forbidden, InvalidInput
from kernapay.security.principal import Principal, Role
from kernapay.users.dtos import ProviderStanding
from kernapay.users.models import UserStatus

ProviderStandingOf = Callable[[str], Awaitable[ProviderStanding | None]]
"""Return the standing of the account with this id as MongoDB has it, or None without one."""


class NotApproved(Forbidden):
    """A provider moves money only while an administrator's approval of the account stands."""

    code = "not_approved"
    title = "Provider not approved"


class Payees:
    def __init__(self, standing_of: ProviderStandingOf) -> None:
        self._standing_of = standing_of

    async def judge(self, payer_id: str, provider_id: str | None) -> str | None:
        """Return the id of the provider's account, or None when `provider_id` is a label that names no account.

        Raises InvalidInput when it names an account that is the payer's, not active or not a PROVIDER.
        """
        if provider_id is None or not ObjectId.is_valid(provider_id):
            return None
        payee_id = str(ObjectId(provider_id))  # capitals name the same account
        standing = await self._standing_of(payee_id)
        if standing is None:
            return None
        if payee_id == payer_id or not _is_active_provider(standing):
            raise InvalidInput(
                "Must be the _id of an active PROVIDER account other than the payer's, "
                "or a label that is no account's _id.",
                field="providerId",
            )
        return payee_id

    async def require_approved(self, actor: Principal, before: str = "it can move money") -> None:
        """Raise NotApproved unless the caller is an active PROVIDER that an administrator has approved.

        `before` completes the sentence of the error.
        """
        standing = await self._standing_of(actor.id)
        if (
            standing is None
            or not _is_active_provider(standing)
            or not standing.is_approved_provider
        ):
            raise NotApproved(
                f"An administrator has to approve this provider account before {before}."
            )


def _is_active_provider(standing: ProviderStanding) -> bool:
    return (standing.type, standing.status) == (Role.PROVIDER, UserStatus.ACTIVE)
