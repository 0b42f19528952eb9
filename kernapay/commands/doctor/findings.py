"""What the doctor says."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """What was looked at, how it is, and what to do next."""

    level: Level
    subject: str
    detail: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.subject:<13} {self.detail}"
        return f"{line} -> {self.advice}" if self.advice else line
