"""Months of the business, as `2026-04`."""

from datetime import date, datetime
from typing import Final, NamedTuple

from kernapay.core.business_days import BusinessDays
from kernapay.core.patterns import explain

MONTH_PATTERN: Final = explain("^2[0-9]{3}-(0[1-9]|1[0-2])$", "a month such as 2026-04")


class Month(NamedTuple):
    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def before(self) -> "Month":
        return Month(self.year - 1, 12) if self.number == 1 else Month(self.year, self.number - 1)

    @property
    def after(self) -> "Month":
        return Month(self.year + 1, 1) if self.number == 12 else Month(self.year, self.number + 1)

    def window(self, days: BusinessDays) -> tuple[datetime, datetime]:
        """Return its first instant and that of the next month, in UTC."""
        return days.start_of(self.first_day), days.start_of(self.after.first_day)


def read_month(text: str) -> Month:
    """Return the month that a text of MONTH_PATTERN names."""
    year, number = text.split("-")
    return Month(int(year), int(number))


def month_of(at: datetime, days: BusinessDays) -> Month:
    """Return the month of the business that contains an instant."""
    day = days.day_of(at)
    return Month(day.year, day.month)
