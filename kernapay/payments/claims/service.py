"""Let an account see the payments that a shop made for it as a customer.

The account must have the customer's verified e-mail address. That is not enough, because addresses change hands and
shops mistype them. So the account claims the payments by the reference of one, which only its buyer and seller know,
and the shop or an administrator grants the claim. A grant allows to read, and nothing else.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, Forbidden, NotFound
from kernapay.customers.dtos import CustomerView
from kernapay.customers.models import Customer
from kernapay.customers.repository import CustomerRepository
from kernapay.customers.service import UNKNOWN, CustomerService, shop_of, target_of
from kernapay.payments.claims.dtos import ClaimMade, GrantView
from kernapay.payments.claims.repository import ClaimRepository
from kernapay.payments.repository import PaymentRepository
from kernapay.security.principal import Principal

VerifiedEmailOf = Callable[[str], Awaitable[str | None]]
"""Return the verified e-mail address of an active account, by MongoDB and not by a cache; None without one."""

# One answer for whatever is wrong, so that nobody finds out whose the payment is.
_NOT_YOURS: Final = "No payment that you may ask for has this reference."


class NothingClaimed(Conflict):
    """This account has not asked, or is no longer the one with the customer's verified address."""

    code = "nothing_claimed"
    title = "Nothing claimed"


class Claims:
    def __init__(
        self,
        claims: ClaimRepository,
        service: CustomerService,
        customers: CustomerRepository,
        payments: PaymentRepository,
        verified_email_of: VerifiedEmailOf,
        audit: AuditLog,
    ) -> None:
        self._claims = claims
        self._service = service
        self._customers = customers
        self._payments = payments
        self._verified_email_of = verified_email_of
        self._audit = audit

    async def claim(self, caller: Principal, reference_id: str) -> ClaimMade:
        """Ask for the payments for the customer of a payment. A repeat is answered again.

        Raises Forbidden if the caller's address is not verified, NotFound, Unavailable.
        """
        email = await self._verified_email_of(caller.id)
        if email is None:
            raise Forbidden(
                "Verify your e-mail address first: POST /v1/api/verification/email/request."
            )
        payment = await self._payments.by_reference(reference_id)
        if payment is None or payment.customer_id is None:
            raise NotFound(_NOT_YOURS)
        customer = await self._customers.get(id=payment.customer_id)
        customer = await self._customers.follow(customer)
        if customer.email != email or str(customer.shop_id) == caller.id:
            raise NotFound(_NOT_YOURS)
        is_granted = str(customer.account_id) == caller.id
        if not is_granted and not await self._claims.claim(customer, caller.id):
            raise NotFound(_NOT_YOURS)
        return ClaimMade(reference_id, str(customer.pk), is_granted)

    async def grant(self, actor: Principal, customer_id: str, account_id: str) -> CustomerView:
        """Let the account that asked see the payments for a customer. A repeat changes nothing.

        Raises NotFound, NothingClaimed, Unavailable.
        """
        customer = await self._find(actor, customer_id)
        if str(customer.account_id) != account_id:
            email = await self._verified_email_of(account_id)
            claim = customer.claim
            if claim is None or str(claim.account_id) != account_id:
                raise _nothing_claimed()
            # Neither may have one any more, and nobody is the same as nobody.
            if email is None or email != customer.email:
                raise _nothing_claimed()
            facts = {"accountId": account_id}
            async with self._audit.action(
                actor, "customer.grant", target_of(customer_id), after=facts
            ):
                if not await self._claims.grant(customer, account_id):
                    raise _nothing_claimed()
        return await self._service.view(actor, customer_id)

    async def revoke(self, actor: Principal, customer_id: str) -> CustomerView:
        """End a grant, and refuse a claim. A repeat changes nothing. Raises NotFound, Unavailable."""
        customer = await self._find(actor, customer_id)
        if customer.account_id is not None or customer.claim is not None:
            async with self._audit.action(actor, "customer.revoke_grant", target_of(customer_id)):
                # If nothing changes, somebody else has ended it meanwhile.
                await self._claims.end(customer)
        return await self._service.view(actor, customer_id)

    async def granted_to(self, caller: Principal, count: int, skip: int) -> list[GrantView]:
        """Return a page of the customers whose payments the caller was given. Raises Unavailable."""
        return await self._claims.grants_of(caller.id, count, skip)

    async def _find(self, actor: Principal, customer_id: str) -> Customer:
        customer = await self._customers.find(customer_id, shop_of(actor))
        if customer is None:
            raise NotFound(UNKNOWN)
        return customer


def _nothing_claimed() -> NothingClaimed:
    return NothingClaimed(
        "The account has not asked for this customer's payments, or its verified address is not the customer's now."
    )
