"""The accounts, the API key and the endpoints of the example data."""

import secrets
from typing import Final

from kernapay.apikeys.dtos import ApiKeyCreate
from kernapay.bootstrap.services import Services
from kernapay.commands.accounts import account_of
from kernapay.commands.example_data.samples import PROVIDERS, SHOP, customer
from kernapay.commands.operator import operator
from kernapay.core.errors import NotFound
from kernapay.deliveries.endpoints.dtos import EndpointCreate
from kernapay.deliveries.models import EventType
from kernapay.devstack.accounts import DEMO_ACCOUNTS
from kernapay.security.principal import Principal, Role, Scope

ANNOUNCED: Final = "HOME_VISIT"
"""The service type whose payments a system of the business is told of."""
_PAYERS: Final = 4
_SHOP_SCOPES: Final = [
    *(Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE, Scope.REFUNDS_WRITE),
    *(Scope.CUSTOMERS_READ, Scope.CUSTOMERS_WRITE),
]


class Accounts:
    """Who acts in the example data."""

    def __init__(self, admin: Principal, shop: Principal, payers: list[Principal]) -> None:
        self.admin = admin
        self.shop = shop
        self.payers = payers
        self.providers: dict[str, Principal] = {}
        """Those that are approved, by their ids."""


async def open_accounts(services: Services) -> Accounts:
    """Open the accounts and the shop's API key. Raises NotFound without the demo accounts."""
    admin = await find_demo(services, Role.ADMIN)
    shop = await open_account(services, *SHOP, Role.USER)
    key = ApiKeyCreate("Booking website", Role.USER, shop.id, scopes=_SHOP_SCOPES)
    created = await services.api_key_service.create(admin, key)
    payers = [await find_demo(services, Role.USER)]
    for number in range(_PAYERS):
        person = customer(900 + number)
        payers.append(await open_account(services, person.email, person.name, Role.USER))
    accounts = Accounts(admin, await services.api_key_service.authenticate(created.key), payers)
    provider = await find_demo(services, Role.PROVIDER)
    accounts.providers[provider.id] = provider
    for each in PROVIDERS:
        if each.is_approved:
            opened = await open_account(services, each.email, each.name, Role.PROVIDER)
            await services.administration_service.set_approval(admin, opened.id, approved=True)
            accounts.providers[opened.id] = opened
    return accounts


async def find_demo(services: Services, role: Role) -> Principal:
    """Return the demo account of a role. Raises NotFound."""
    user = await services.user_service.find_by_email(DEMO_ACCOUNTS[role])
    if user is None:
        raise NotFound("The demo accounts are missing. Fix: kernapay seed")
    return principal_of(str(user.pk), role)


async def open_account(services: Services, email: str, name: str, role: Role) -> Principal:
    """Open an account with a password that nobody knows."""
    password = secrets.token_urlsafe(24)
    fields = {
        "email": email,
        "name": name,
        "password": password,
        "confirmPassword": password,
        "mobileNumber": f"98{secrets.randbelow(10**8):08}",
        "countryCode": "+91",
        "type": role.value,
    }
    user, _ = await services.administration_service.appoint(
        operator(), account_of(fields), promote=False
    )
    return principal_of(user.id, role)


def principal_of(user_id: str, role: Role) -> Principal:
    return Principal(user_id, role, session_id="example-data", is_email_verified=True)


async def open_endpoints(services: Services, accounts: Accounts) -> None:
    """Let systems of the business, which the sandbox plays, get some events. One of them has ended for good."""
    receiver = f"{services.settings.razorpay_base_url}/_sandbox/receiver"
    endpoints = (
        EndpointCreate(
            f"{receiver}/nurses",
            "Planning of home visits",
            [EventType.PAYMENT_SUCCEEDED],
            service_types=[ANNOUNCED],
        ),
        EndpointCreate(
            f"{receiver}/ledger",
            "Accounting: what goes back, and what comes to the bank",
            [
                *(EventType.REFUND_PROCESSED, EventType.REFUND_FAILED),
                *(EventType.DISPUTE_OPENED, EventType.SETTLEMENT_PROCESSED),
            ],
        ),
        EndpointCreate(
            f"{receiver}/old-crm?answer=503",
            "Old customer system, which is switched off",
            [EventType.REFUND_PROCESSED],
        ),
    )
    for each in endpoints:
        await services.endpoint_service.create(accounts.admin, each)
