"""A problem with the value of a variable."""

from typing import NamedTuple


class Flaw(NamedTuple):
    """A variable, what is wrong with its value (which is never repeated), and an instruction to fix it, if any."""

    variable: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.variable}: {self.text}"
        return f"{line}. Fix: {self.fix}" if self.fix else line
