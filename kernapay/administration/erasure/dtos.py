"""The answer of the erasure of an account."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.customers.remains import Remainder


class AccountErased(Struct, rename="camel"):
    """An account of which nothing personal is left. `remains` says what is."""

    id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])] = field(name="_id")
    erased_at: Instant
    remains: list[Remainder]
