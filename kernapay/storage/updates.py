"""The results of a conditional update. A caller has to handle the other results to get the changed row."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from kernapay.core.errors import Unavailable

RowT = TypeVar("RowT")


class RowGone(Unavailable):
    """The row that was read is no longer there under its key, so nothing was changed."""

    def __init__(self) -> None:
        super().__init__("The record changed while it was being updated. Repeat the call.")


class RowChanged(Unavailable):
    """The row allows the update by its status, but not by what it contains: it has changed since it was read."""

    def __init__(self) -> None:
        super().__init__("The record was changed at the same time. Repeat the call.")


@dataclass(frozen=True, slots=True)
class Changed(Generic[RowT]):
    """The update was made. `row` is the row after it."""

    row: RowT


@dataclass(frozen=True, slots=True)
class Refused(Generic[RowT]):
    """The row exists, but not under the conditions. `current` says why: it was done before, or is not allowed."""

    current: RowT
