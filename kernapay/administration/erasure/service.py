"""Erase people: an account, and the copies of its data, or of a customer's, in other collections and files."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kernapay.administration.erasure.dtos import AccountErased
from kernapay.administration.erasure.repository import ReferenceRepository
from kernapay.administration.repository import AccountRepository
from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict
from kernapay.customers.models import Customer
from kernapay.customers.remains import REMAINS
from kernapay.customers.repository import CustomerRepository
from kernapay.customers.service import CustomerService
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.text_erasure import EventTextErasure
from kernapay.gateway.calls.repository import GatewayCallRepository
from kernapay.payments.claims.repository import ClaimRepository
from kernapay.payments.documents.receipts import ReceiptService
from kernapay.payments.merging.service import CustomerMerging
from kernapay.security.principal import Principal
from kernapay.sessions.repository import SessionRepository
from kernapay.users.models import User, UserStatus

HashPassword = Callable[[str], Awaitable[str]]
_BATCH: Final = 100


class StillActive(Conflict):
    """The account is active. Deactivate it first: that ends its sessions, API keys and endpoints."""

    code = "still_active"
    title = "Account still active"


class Copies:
    """The copies of a payer's data outside of the payments themselves."""

    def __init__(
        self,
        references: ReferenceRepository,
        events: EventTextErasure,
        receipts: ReceiptService,
        calls: GatewayCallRepository,
    ) -> None:
        self._references = references
        self._calls = calls
        self._events = events
        self._receipts = receipts

    async def forget_customer(self, customer_id: str) -> None:
        """Delete the copies of a customer. Raises Unavailable."""
        await self._forget(await self._references.of_customer(customer_id))

    async def forget_account(self, user_id: str) -> None:
        """Delete the copies of an account that paid for itself. Raises Unavailable."""
        await self._forget(await self._references.of_payer(user_id))

    async def _forget(self, references: Sequence[str]) -> None:
        for start in range(0, len(references), _BATCH):
            batch = references[start : start + _BATCH]
            await self._events.forget(batch)
            await self._receipts.forget(batch)
            await self._calls.forget(await self._references.gateway_names(batch))


class CustomerFollowUps:
    """The worker's follow-up work after merges and erasures of customers. Each step may be repeated."""

    def __init__(
        self,
        service: CustomerService,
        customers: CustomerRepository,
        merging: CustomerMerging,
        copies: Copies,
    ) -> None:
        self._service = service
        self._customers = customers
        self._merging = merging
        self._copies = copies

    async def sweep(self) -> bool:
        """Follow up one customer. Return False if none is due."""
        return await self._customers.queue.sweep(self.follow_up)

    async def follow_up(self, customer: Customer) -> None:
        kept = await self._customers.follow(customer)
        if kept.pk != customer.pk:
            await self._merging.move_payments(customer, kept)
        if kept.erased_at is not None:
            # The merge may have come just after the erasure.
            await self._service.erase_parts(kept)
            await self._copies.forget_customer(str(kept.pk))
        await self._customers.end_follow_up(customer)


class AccountErasure:
    def __init__(
        self,
        accounts: AccountRepository,
        sessions: SessionRepository,
        remove_second_factor: Callable[[str], Awaitable[bool]],
        claims: ClaimRepository,
        endpoints: EndpointRepository,
        copies: Copies,
        hash_password: HashPassword,
        audit: AuditLog,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._remove_second_factor = remove_second_factor
        self._claims = claims
        self._endpoints = endpoints
        self._copies = copies
        self._hash_password = hash_password
        self._audit = audit

    async def erase(self, actor: Principal, user_id: str) -> AccountErased:
        """Remove the personal data of an account for good. A repeat finishes an interrupted call.

        Raises NotFound, StillActive, Unavailable.
        """
        user = await self._accounts.get(id=user_id)
        if user.erased_at is None:
            user = await self._erase(actor, user)
        await self._sessions.end(user_id)
        await self._remove_second_factor(user_id)
        await self._claims.forget(user_id)
        await self._endpoints.remove_all_of(user_id)
        await self._copies.forget_account(user_id)
        return AccountErased(user_id, user.erased_at or self._accounts.clock(), list(REMAINS))

    async def _erase(self, actor: Principal, user: User) -> User:
        if user.status is not UserStatus.INACTIVE:
            raise StillActive("Deactivate the account first: that ends whatever it can do.")
        unknown = await self._hash_password(secrets.token_urlsafe(32))
        async with self._audit.action(actor, "user.erase", f"user:{user.pk}"):
            erased = await self._accounts.erase(str(user.pk), unknown)
            if erased is None:
                raise StillActive("Somebody has activated the account. Deactivate it first.")
        return erased
