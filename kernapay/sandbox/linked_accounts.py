"""Linked accounts (Route): the businesses that transfers go to, their stakeholders and their product."""

from typing import Any, Final

from kernapay.sandbox.account_entities import LinkedAccount, ProductConfiguration, Stakeholder
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.errors import (
    RazorpayError,
    bad_request,
    not_applicable,
    not_played,
    unknown_id,
)
from kernapay.sandbox.events import EventPublisher
from kernapay.sandbox.field_shapes import merge, read
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.linked_account_fields import (
    BUSINESS_TYPES,
    DETAILS,
    IDENTITY,
    MIN_CODE_LENGTH,
    SETTLEMENT_FIELDS,
    SETTLEMENTS,
    STAKEHOLDER,
)
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.store import Store

# Products of the partner API.
_OTHER_PRODUCTS: Final = ("payment_gateway", "payment_links")


class LinkedAccounts:
    def __init__(self, store: Store, clock: Clock, events: EventPublisher) -> None:
        self._accounts = store.linked_accounts
        self._stakeholders = store.stakeholders
        self._products = store.product_configurations
        self._clock = clock
        self._events = events

    def create(self, owner: str, fields: Fields) -> LinkedAccount:
        kind = fields.text("type")
        if kind in (None, "standard"):
            raise not_played("accounts of the partner API; send the type route", "type")
        if kind != "route":
            raise bad_request(f"Invalid type: {str(kind)[:100]}", "type")
        identity = read(fields, IDENTITY, is_new=True)
        details, notes = _read_details(fields, is_new=True)
        email, business_type = identity["email"].lower(), identity["business_type"]
        if business_type not in BUSINESS_TYPES:
            raise bad_request(f"Invalid business type: {business_type[:100]}", "business_type")
        for other in self._accounts.find_by("email", email):
            if other.owner == owner:
                name = other.id.removeprefix("acc_")
                raise bad_request(f"Merchant email already exists for account - {name}.", "email")
        return self._accounts.add(
            LinkedAccount(
                id=new_id("acc"),
                owner=owner,
                created_at=self._clock.timestamp(),
                email=email,
                business_type=business_type,
                details=details,
                notes=notes or {},
            )
        )

    def get(self, owner: str, account_id: str) -> LinkedAccount:
        """Return the account. Raise RazorpayError if it does not exist or is another business's."""
        account = self._accounts.get(account_id)
        if account is None or account.owner != owner:
            raise RazorpayError(
                "Linked account does not exist",
                source="",
                step="",
                reason="linked_account_id_does_not_exist",
            )
        return account

    def edit(self, account: LinkedAccount, fields: Fields) -> LinkedAccount:
        details, notes = _read_details(fields, is_new=False)
        account.details = merge(account.details, details)
        account.notes = account.notes if notes is None else notes
        self._accounts.save(account)
        return account

    def add_stakeholder(self, account: LinkedAccount, fields: Fields) -> Stakeholder:
        details, notes = read(fields, STAKEHOLDER, is_new=True), fields.notes()
        fields.reject_unread()
        if self.stakeholders(account):
            raise bad_request("Stakeholders cannot be more than one for Route product.")
        return self._stakeholders.add(
            Stakeholder(
                id=new_id("sth"),
                owner=account.owner,
                created_at=self._clock.timestamp(),
                account_id=account.id,
                details=details,
                notes=notes or {},
            )
        )

    def stakeholders(self, account: LinkedAccount) -> list[Stakeholder]:
        return self._stakeholders.find_by("account_id", account.id)

    def stakeholder(self, account: LinkedAccount, stakeholder_id: str) -> Stakeholder:
        stakeholder = Resource("sth", self._stakeholders).get(account.owner, stakeholder_id)
        if stakeholder.account_id != account.id:
            raise unknown_id()
        return stakeholder

    def edit_stakeholder(self, stakeholder: Stakeholder, fields: Fields) -> Stakeholder:
        details, notes = read(fields, STAKEHOLDER, is_new=False), fields.notes()
        fields.reject_unread()
        stakeholder.details = merge(stakeholder.details, details)
        stakeholder.notes = stakeholder.notes if notes is None else notes
        self._stakeholders.save(stakeholder)
        return stakeholder

    def request_product(self, account: LinkedAccount, fields: Fields) -> ProductConfiguration:
        """Return the configuration of Route. A second request returns the same one."""
        name, accepted = fields.require_text("product_name"), _read_acceptance(fields)
        fields.reject_unread()
        if name in _OTHER_PRODUCTS:
            raise not_played("products of the partner API; ask for route", "product_name")
        if name != "route":
            raise bad_request("The product requested is invalid.", "product_name")
        for product in self._products.find_by("account_id", account.id):
            return product
        now = self._clock.timestamp()
        return self._products.add(
            ProductConfiguration(
                id=new_id("acc_prd"),
                owner=account.owner,
                created_at=now,
                account_id=account.id,
                terms_id=new_id("tnc"),
                terms_accepted_at=now if accepted else None,
            )
        )

    def product(self, account: LinkedAccount, product_id: str) -> ProductConfiguration:
        product = self._products.get(product_id)
        if product is None or product.account_id != account.id:
            raise not_applicable("The provided product config id doesn't exist for the merchant")
        return product

    def edit_product(self, product: ProductConfiguration, fields: Fields) -> ProductConfiguration:
        """Change the bank account. The product is active as soon as it has one, and that is told."""
        changes, accepted = read(fields, SETTLEMENTS, is_new=False), _read_acceptance(fields)
        fields.reject_unread()
        product.settlements = {**product.settlements, **changes.get("settlements", {})}
        if accepted and product.terms_accepted_at is None:
            product.terms_accepted_at = self._clock.timestamp()
        is_complete = all(name in product.settlements for name in SETTLEMENT_FIELDS)
        is_activated = is_complete and product.activation_status != "activated"
        if is_activated:
            product.activation_status = "activated"
        self._products.save(product)
        if is_activated:
            self._events.publish_product("product.route.activated", product)
        return product


def _read_details(fields: Fields, *, is_new: bool) -> tuple[dict[str, Any], dict[str, str] | None]:
    details, notes = read(fields, DETAILS, is_new=is_new), fields.notes()
    fields.reject_unread()
    code = details.get("reference_id")
    if code is not None and len(code) < MIN_CODE_LENGTH:
        words = f"The code must be at least {MIN_CODE_LENGTH} characters."
        raise bad_request(words, "reference_id")
    return details, notes


def _read_acceptance(fields: Fields) -> bool:
    accepted = fields.flag("tnc_accepted")
    if accepted is False:
        raise bad_request("The selected tnc accepted is invalid.", "tnc_accepted")
    return accepted is True
