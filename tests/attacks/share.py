"""A sweep tries every attack at every place, which is thousands of requests.

A usual run tries each attack at a part of the places, always the same; `ALL_ATTACKS=true pytest -m owasp` at all.
"""

import os
from collections.abc import Iterable
from itertools import count
from typing import Final, TypeVar

T = TypeVar("T")

PARTS: Final = 8


class Sweep:
    """Deals attacks out to the places that are asked for, one after another."""

    def __init__(self, *, tries_all: bool = os.environ.get("ALL_ATTACKS") == "true") -> None:
        self._places = count()
        self._tries_all = tries_all

    def share(self, attacks: Iterable[T]) -> list[T]:
        """Return the attacks for the next place: one in eight, at least one, and others than at the place before."""
        place = next(self._places)
        every = list(attacks)
        parts = min(PARTS, len(every))
        return every if self._tries_all or not every else every[place % parts :: parts]
