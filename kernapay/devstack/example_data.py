"""Whether a data directory has example data, and the settings that fit it."""

from pathlib import Path
from typing import Final

EXAMPLE_SETTINGS: Final = {
    "MERCHANT_NAME": "Sunrise Clinic",
    "SERVICE_TYPES": "CONSULTATION,DIAGNOSTICS,PHARMACY,HOME_VISIT",
}
"""What the stack sets where the environment says nothing."""
_FILE: Final = "example-data"
_MAKING, _MADE = "making\n", "made\n"


class ExampleData:
    """The record of a data directory about its example data. It survives a start that was killed."""

    def __init__(self, home: Path) -> None:
        self._note = home / _FILE

    @property
    def is_there(self) -> bool:
        return self._note.exists()

    @property
    def is_incomplete(self) -> bool:
        """Whether a start ended while it made the data. The sandbox's clock may be wrong then."""
        return self.is_there and self._note.read_text() != _MADE

    def begin(self) -> None:
        self._note.write_text(_MAKING)

    def end(self) -> None:
        self._note.write_text(_MADE)
