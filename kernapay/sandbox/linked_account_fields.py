"""How a linked account, its stakeholder and the configuration of its product must look (Route)."""

import re
from typing import Final

from kernapay.sandbox.field_shapes import Flag, Group, Percentage, Shape, Text, Texts

BUSINESS_TYPES: Final = (
    *("llp", "ngo", "other", "individual", "partnership", "proprietorship", "public_limited"),
    *("private_limited", "trust", "society", "not_yet_registered", "educational_institutes"),
)
MIN_CODE_LENGTH: Final = 3
"""Of `reference_id`, which Razorpay calls the code in its words."""
MAX_CODE_LENGTH: Final = 20

_DIGITS: Final = re.compile(r"\+?[0-9]+")
_URL: Final = re.compile(r"(https?://)?[\w-]+(\.[\w-]+)*(:[0-9]+)?([/?#]\S*)?")
_LINK: Final = Text(longest=2048, pattern=_URL)


def _email(*, is_required: bool = False) -> Text:
    return Text(
        longest=132,
        pattern=re.compile(r"[^@\s]{1,64}@[^@\s]{1,68}"),
        words="The email must be a valid email address.",
        is_required=is_required,
    )


def _phone(shortest: int, longest: int, *, is_required: bool = False) -> Text:
    return Text(shortest=shortest, longest=longest, pattern=_DIGITS, is_required=is_required)


def _pan(holders: str) -> Text:
    """Return the shape of a tax number. Razorpay: its fourth letter says what its holder is, P for a person."""
    letters = holders + holders.lower()
    return Text(pattern=re.compile(rf"[A-Za-z]{{3}}[{letters}][A-Za-z][0-9]{{4}}[A-Za-z]"))


_ADDRESS: Final[Shape] = {
    "street1": Text(longest=100),
    "street2": Text(longest=100),
    "city": Text(longest=100),
    "state": Text(shortest=2, longest=32),
    "postal_code": Text(shortest=6, longest=6),
    "country": Text(shortest=2, longest=64),
}
_CONTACT: Final = Group(parts={"email": _email(), "phone": _phone(1, 10), "policy_url": _LINK})
_APPS: Final = Group(parts={"url": _LINK, "name": Text()}, is_list=True)
_GST: Final = re.compile(r"[0-3][0-9][A-Za-z]{5}[0-9]{4}[A-Za-z][0-9][A-Za-z0-9]{2}")
_CODE: Final = re.compile(r"[\w-]+")

DETAILS: Final[Shape] = {
    "phone": _phone(8, 15, is_required=True),
    "legal_business_name": Text(shortest=4, longest=200, is_required=True),
    "customer_facing_business_name": Text(),
    "contact_name": Text(shortest=4),
    "reference_id": Text(
        longest=MAX_CODE_LENGTH, pattern=_CODE, words="The code format is invalid."
    ),
    "profile": Group(
        is_required=True,
        parts={
            "category": Text(is_required=True),
            "subcategory": Text(is_required=True),
            "business_model": Text(),
            # Not documented, but the samples of the SDKs send it.
            "description": Text(),
            "addresses": Group(
                parts={
                    "registered": Group(parts=_ADDRESS, is_required=True),
                    "operation": Group(parts=_ADDRESS),
                }
            ),
        },
    ),
    "legal_info": Group(
        parts={"pan": _pan("CHFATBJGL"), "gst": Text(pattern=_GST), "cin": Text(longest=21)}
    ),
    "contact_info": Group(parts={"chargeback": _CONTACT, "refund": _CONTACT, "support": _CONTACT}),
    "apps": Group(parts={"websites": Texts(_LINK), "android": _APPS, "ios": _APPS}),
    "brand": Group(parts={"color": Text(longest=7)}),
}
"""Of a linked account, what can be changed."""

IDENTITY: Final[Shape] = {
    "email": _email(is_required=True),
    "business_type": Text(is_required=True),
}
"""Of a linked account, what stays."""

STAKEHOLDER: Final[Shape] = {
    "name": Text(),
    "email": _email(is_required=True),
    "percentage_ownership": Percentage(),
    "relationship": Group(parts={"director": Flag(), "executive": Flag()}),
    "phone": Group(parts={"primary": _phone(8, 11), "secondary": _phone(8, 11)}),
    "addresses": Group(
        parts={
            "residential": Group(
                parts={
                    "street": Text(shortest=10),
                    "city": Text(shortest=2, longest=32),
                    "state": Text(shortest=2, longest=32),
                    "postal_code": Text(shortest=2, longest=10),
                    "country": Text(shortest=2, longest=64),
                }
            )
        }
    ),
    "kyc": Group(parts={"pan": _pan("P")}),
}
SETTLEMENTS: Final[Shape] = {
    "settlements": Group(
        parts={
            "beneficiary_name": Text(
                pattern=re.compile(r"[A-Za-z0-9 ]+"),
                words="The name may only contain alphabets, digits and spaces",
            ),
            "account_number": Text(
                shortest=5,
                longest=20,
                words="The account number must be between 5 and 20 characters.",
                pattern=re.compile(r"[A-Za-z0-9]+"),
            ),
            "ifsc_code": Text(
                shortest=11,
                longest=11,
                pattern=re.compile(r"[A-Z]{4}0[A-Z0-9]{6}"),
                words="Invalid IFSC Code",
            ),
        }
    )
}
"""Of the configuration of a product, where a linked account's money goes."""
SETTLEMENT_FIELDS: Final = ("beneficiary_name", "account_number", "ifsc_code")
"""What the product needs before it is active, in the order of Razorpay's samples."""
