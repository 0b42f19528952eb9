"""A development stack, as a user has it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DevStack:
    """A running `kernapay dev`."""

    home: Path
    api: str
    sandbox: str
