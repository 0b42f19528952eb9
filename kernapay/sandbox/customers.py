"""Customers that a business keeps at Razorpay."""

import re
from typing import Final

from kernapay.sandbox.account_entities import Customer
from kernapay.sandbox.clock import Clock
from kernapay.sandbox.contacts import normalize_contact
from kernapay.sandbox.errors import RazorpayError, bad_request, not_applicable
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.resources import Resource
from kernapay.sandbox.store import Store

# Razorpay's limits, in characters and digits.
MIN_NAME_LENGTH: Final = 3
MAX_NAME_LENGTH: Final = 50
MAX_EMAIL_LENGTH: Final = 64
MAX_CONTACT_LENGTH: Final = 15
MIN_CONTACT_DIGITS: Final = 8
_NAME: Final = re.compile(r"[\w .'/@()]+")


class Customers(Resource[Customer]):
    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__("cust", store.customers)
        self._clock = clock

    def create(self, owner: str, fields: Fields) -> Customer:
        """Create a customer, or return the one with the same contact or email if `fail_existing` is 0.

        Raise RazorpayError if there is one and `fail_existing` is not 0.
        """
        name, email, contact, gstin = read_details(fields)
        notes = fields.notes() or {}
        must_be_new = fields.flag("fail_existing")
        fields.reject_unread()
        existing = self._find_same(owner, email, contact)
        if existing is not None:
            if must_be_new is False:
                # Razorpay: its name and notes stay the old ones.
                return existing
            raise not_applicable("Customer already exists for the merchant")
        return self._table.add(
            Customer(
                id=new_id("cust"),
                owner=owner,
                created_at=self._clock.timestamp(),
                name=name,
                email=email,
                contact=contact,
                gstin=gstin,
                notes=notes,
            )
        )

    def edit(self, customer: Customer, fields: Fields) -> Customer:
        name, email, contact, gstin = read_details(fields)
        notes = fields.notes()
        fields.reject_unread()
        other = self._find_same(customer.owner, email, contact)
        if other is not None and other is not customer:
            raise not_applicable("Customer already exists for the merchant")
        customer.name = name or customer.name
        customer.email = email or customer.email
        customer.contact = contact or customer.contact
        customer.gstin = gstin or customer.gstin
        customer.notes = customer.notes if notes is None else notes
        self._table.save(customer)
        return customer

    def _find_same(self, owner: str, email: str | None, contact: str | None) -> Customer | None:
        for customer in self._table.find_by("owner", owner):
            if (email and customer.email == email) or (contact and customer.contact == contact):
                return customer
        return None


def read_details(fields: Fields) -> tuple[str | None, str | None, str | None, str | None]:
    """Return name, email, contact and GST number. Raise RazorpayError if one is invalid."""
    name = fields.text("name", MAX_NAME_LENGTH)
    if name is not None and (len(name) < MIN_NAME_LENGTH or not _NAME.fullmatch(name)):
        raise bad_request("The name format is invalid.", "name")
    email = fields.text("email", MAX_EMAIL_LENGTH)
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise bad_request("The email must be a valid email address.", "email")
    return name, email and email.lower(), read_contact(fields), fields.text("gstin", 15)


def read_contact(fields: Fields) -> str | None:
    """Return the contact with its country code. Razorpay's Python samples send a number."""
    value = fields.value("contact")
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 0 <= value < 10**MAX_CONTACT_LENGTH
    ):
        value = str(value)
    else:
        value = fields.text("contact")
    if value is None:
        return None
    contact = normalize_contact(value)
    if sum(letter.isdecimal() for letter in contact) < MIN_CONTACT_DIGITS:
        raise RazorpayError(
            "Contact number should be at least 8 digits, including country code",
            step="NA",
            reason="invalid_contact_number",
            field="contact",
        )
    if not re.fullmatch(r"\+?[0-9]{1,15}", contact):
        raise RazorpayError(
            "Contact number contains invalid characters, only digits and + symbol are allowed",
            step="NA",
            reason="invalid_contact_number",
            field="contact",
        )
    return contact
