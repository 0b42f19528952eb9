"""The findings of the doctor."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """A checked subject, its state, and a fix: a command, or an instruction that ends with a full stop."""

    level: Level
    subject: str
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.subject:<13} {self.detail}"
        return f"{line}. Fix: {self.fix}" if self.fix else line
