"""The mutants that may live, with the reason of each."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

_FILE: Final = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Change:
    """What a mutant changes: the lines before and after, without those around them."""

    function: str
    before: str
    after: str


class Survivor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that no test can notice, or need not. Without `after`, all changes of these lines."""

    module: str
    function: str
    before: str
    reason: str
    after: str | None = None

    def fits(self, change: Change) -> bool:
        return (self.function, self.before) == (change.function, change.before) and (
            self.after in (None, change.after)
        )


class _Listed(msgspec.Struct, forbid_unknown_fields=True):
    survivor: list[Survivor] = []


def read_survivors() -> list[Survivor]:
    """Return the listed survivors. Their modules are named as in `ROOMS`."""
    return msgspec.convert(tomllib.loads(_FILE.read_text()), _Listed).survivor
