"""Further rows of the store: what an account has besides orders, payments and what follows them.

Field names are the format of the SQLite file and of snapshots, as those of `entities` are.
"""

from msgspec import field

from kernapay.sandbox.entities import OwnedRow


class Customer(OwnedRow, kw_only=True):
    name: str | None = None
    email: str | None = None
    contact: str | None = None
    gstin: str | None = None
    notes: dict[str, str] = field(default_factory=dict)


class Offer(OwnedRow, kw_only=True):
    """A discount of an order that names it. `amount` is in minor units, `percent` from 1 to 99."""

    kind: str = "instant"
    amount: int | None = None
    percent: int | None = None
    method: str | None = None
