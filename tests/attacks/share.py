"""A sweep tries every attack at every place, which is thousands of requests.

A usual run tries each attack at a part of the places, always the same; `ALL_ATTACKS=true pytest -m owasp` at all.
"""

import os
from collections.abc import Iterable
from typing import Final, TypeVar

T = TypeVar("T")

_TRIES_ALL: Final = os.environ.get("ALL_ATTACKS") == "true"


def share(attacks: Iterable[T], place: int, parts: int = 4) -> list[T]:
    """Return the attacks for the place of this number: of all, one in `parts`, others at the next place."""
    every = list(attacks)
    return every if _TRIES_ALL else every[place % parts :: parts]
