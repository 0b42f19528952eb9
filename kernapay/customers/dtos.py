"""Request and response structs of customers."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE, OBJECT_ID_PATTERN
from kernapay.core.patterns import PRINTABLE, Label, Line, explain
from kernapay.customers.remains import REMAINS, Remainder

Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=explain(r"^[\x21-\x7e]+$", "visible ASCII characters without spaces"),
        description="The shop's own id of its customer. No two customers of a shop have the same.",
        examples=["customer-7"],
    ),
]
Email = Annotated[
    str, Meta(min_length=3, max_length=254, pattern=PRINTABLE, examples=["ravi@example.com"])
]
Name = Annotated[Line, Meta(examples=["Ravi Iyer"])]
Contact = Annotated[
    str,
    Meta(
        max_length=32,
        pattern=explain(
            r"^\+[0-9][0-9 ()-]*$", "a phone number with its country code, such as +919876543210"
        ),
        examples=["+919876543210"],
    ),
]
Gstin = Annotated[
    str,
    Meta(
        min_length=15,
        max_length=15,
        pattern=explain(r"^[0-9A-Za-z]+$", "made of letters and digits only"),
        description="The number of a business under India's goods and services tax.",
        examples=["27AAPFU0939F1ZV"],
    ),
]
Country = Annotated[
    str,
    Meta(
        pattern=explain(r"^[A-Z]{2}$", "two capital letters such as IN (ISO 3166-1)"),
        examples=["IN"],
    ),
]
PostalCode = Annotated[str, Meta(max_length=16, pattern=PRINTABLE, examples=["411001"])]
CustomerIdText = Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]


class AddressGiven(Struct, rename="camel", forbid_unknown_fields=True):
    """A postal address. Anything may be left out."""

    line1: Annotated[Label, Meta(examples=["14 Lake Road"])] | None = None
    line2: Annotated[Label, Meta(examples=["Second floor"])] | None = None
    city: Annotated[Label, Meta(examples=["Pune"])] | None = None
    state: Annotated[Label, Meta(examples=["Maharashtra"])] | None = None
    postal_code: PostalCode | None = None
    country: Country | None = None


class CustomerGiven(Struct, rename="camel", forbid_unknown_fields=True):
    """For whom a shop creates a payment. Any one field is enough.

    With a `reference` that the shop has used before, it is that customer, who stays as stored: `PATCH` changes them.
    Without one, it is a new customer.
    """

    reference: Reference | None = None
    email: Email | None = None
    name: Name | None = None
    contact: Contact | None = None
    gstin: Gstin | None = None
    address: AddressGiven | None = None


class CustomerChange(Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out stays as it is, and null removes it. An address is replaced as a whole."""

    reference: Reference | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    contact: Contact | UnsetType | None = UNSET
    gstin: Gstin | UnsetType | None = UNSET
    address: AddressGiven | UnsetType | None = UNSET


class AddressView(Struct, rename="camel"):
    """A postal address."""

    line1: Annotated[str, Meta(examples=["14 Lake Road"])] | None = None
    line2: Annotated[str, Meta(examples=["Second floor"])] | None = None
    city: Annotated[str, Meta(examples=["Pune"])] | None = None
    state: Annotated[str, Meta(examples=["Maharashtra"])] | None = None
    postal_code: Annotated[str, Meta(examples=["411001"])] | None = None
    country: Annotated[str, Meta(examples=["IN"])] | None = None


class CustomerMerge(Struct, rename="camel", forbid_unknown_fields=True):
    """The customer of the same shop that stays, and gets the payments."""

    into: Annotated[
        str, Meta(pattern=OBJECT_ID_PATTERN, description="Its `_id`.", examples=[OBJECT_ID_EXAMPLE])
    ]


class ClaimView(Struct, rename="camel"):
    """An account with the customer's verified address that asks for their payments. Grant it, or refuse."""

    account_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    at: Instant


class CustomerView(Struct, rename="camel"):
    """A customer of the shop whose account is `shopId`. Of an erased one, nothing personal is left.

    `remains` says what else is left, and why. One that was merged has its `reference` only. `mergedInto` is who has its
    payments now. `accountId` is the account that may see them as well, by a grant.
    """

    id: CustomerIdText = field(name="_id")
    shop_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    created_at: Instant
    updated_at: Instant
    reference: Annotated[str, Meta(examples=["customer-7"])] | None = None
    email: Annotated[str, Meta(examples=["ravi@example.com"])] | None = None
    name: Annotated[str, Meta(examples=["Ravi Iyer"])] | None = None
    contact: Annotated[str, Meta(examples=["+919876543210"])] | None = None
    gstin: Annotated[str, Meta(examples=["27AAPFU0939F1ZV"])] | None = None
    address: AddressView | None = None
    erased_at: Instant | None = None
    merged_into: CustomerIdText | None = None
    merged_at: Instant | None = None
    account_id: CustomerIdText | None = None
    granted_at: Instant | None = None
    claim: ClaimView | None = None
    remains: Annotated[list[Remainder], Meta(examples=[[]])] = []

    def __post_init__(self) -> None:
        if self.erased_at is not None:
            self.remains = list(REMAINS)


class CustomerPage(Struct, rename="camel"):
    """A page of customers, newest first. `nextCursor` is the `cursor` of the next page; null after the last one."""

    customers: list[CustomerView]
    next_cursor: Annotated[CustomerIdText | None, Meta(description="Null after the last page.")] = (
        None
    )


class Prefill(Struct):
    """What the gateway's Checkout need not ask a customer for. Pass it as `prefill`."""

    name: Annotated[str, Meta(examples=["Asha Rao"])] | None = None
    email: Annotated[str, Meta(examples=["asha@example.com"])] | None = None
    contact: Annotated[str, Meta(examples=["+919876543210"])] | None = None
