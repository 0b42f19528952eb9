"""The bodies and answers of claims."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE, OBJECT_ID_PATTERN
from kernapay.payments.fields import ReferenceText


class ClaimMade(Struct, rename="camel"):
    """The shop, or an administrator, decides. With `granted`, they have."""

    reference_id: ReferenceText
    customer_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    granted: Annotated[bool, Meta(examples=[False])]


class ClaimGrant(Struct, rename="camel", forbid_unknown_fields=True):
    """The account that has asked, as the customer's `claim` says."""

    account_id: Annotated[str, Meta(pattern=OBJECT_ID_PATTERN, examples=[OBJECT_ID_EXAMPLE])]


class GrantView(Struct, rename="camel"):
    """A customer of a shop whose payments the caller may see."""

    customer_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    shop_id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])]
    granted_at: Instant | None = None
