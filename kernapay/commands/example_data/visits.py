"""Draw the visits of the example data: when each payment is made, and how it ends."""

import random
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

from kernapay.commands.example_data.samples import METHODS, OFFERS, Offer
from kernapay.core.business_days import BusinessDays

_WEEK: Final = timedelta(days=7)
DAYS: Final = 13
"""Whole days before today: so the last seven days have seven others to compare with."""
# How much is sold in each hour of the business's day.
_HOURS: Final = (
    *(1, 1, 1, 1, 1, 2, 4, 9, 16, 24, 30, 28, 22, 18, 17, 20, 26, 32, 34, 28, 20, 12, 7, 3),
)
_SUNDAY: Final = 6
_ON_SUNDAYS: Final = 0.5
# The clinic grows.
_IN_THE_WEEK_BEFORE: Final = 0.85
# Early in the morning, today would be empty. A first look should see something, and a week before as well.
_TODAY_AT_LEAST: Final = 0.1
_CUSTOMERS_PER_PAYMENT: Final = 0.3
_LATEST: Final = timedelta(minutes=2)


class Ending(Enum):
    """How a visit to Checkout ends."""

    CONFIRMED = "paid, and the page confirms it"
    WINDOW_CLOSED = "paid, and only the webhook says so"
    WEBHOOK_LOST = "paid, and neither the page nor a webhook says so"
    SECOND_TRY = "declined, then paid"
    DECLINED = "declined"
    LEFT = "left without paying"
    CANCELLED = "cancelled by the payer"


_ENDINGS: Final = {
    Ending.CONFIRMED: 71,
    Ending.WINDOW_CLOSED: 9,
    Ending.WEBHOOK_LOST: 1,
    Ending.SECOND_TRY: 5,
    Ending.DECLINED: 7,
    Ending.LEFT: 5,
    Ending.CANCELLED: 2,
}


class Visit(NamedTuple):
    """A customer's purchase. `thinking` is the time between the order and the attempt to pay."""

    number: int
    at: datetime
    customer: int
    offer: Offer
    amount: int
    method: str
    ending: Ending
    thinking: timedelta
    is_own_account: bool
    """Whether the payer has an account of their own, and pays without a shop."""


def days_until(at: datetime, days: BusinessDays) -> list[datetime]:
    """Return the first instant of each day of the example data, today's last."""
    today = days.day_of(at)
    return [days.start_of(today - timedelta(days=back)) for back in range(DAYS, -1, -1)]


def draw_visits(count: int, at: datetime, days: BusinessDays, draw: random.Random) -> list[Visit]:
    """Return `count` visits of the days until this time, oldest first."""
    moments = sorted(_draw_moment(at, days, draw) for _ in range(count))
    customers = max(8, int(count * _CUSTOMERS_PER_PAYMENT))
    return [_draw_visit(number, each, customers, draw) for number, each in enumerate(moments)]


def _draw_moment(at: datetime, days: BusinessDays, draw: random.Random) -> datetime:
    today = days.day_of(at)
    start_of_today = days.start_of(today)
    latest = at - _LATEST
    if draw.random() < _TODAY_AT_LEAST and start_of_today < latest:
        moment = start_of_today + draw.random() * (latest - start_of_today)
        return moment - _WEEK if draw.random() < _IN_THE_WEEK_BEFORE / 2 else moment
    while True:
        day = today - timedelta(days=draw.randint(0, DAYS))
        is_quiet = day.weekday() == _SUNDAY and draw.random() > _ON_SUNDAYS
        if is_quiet or (today - day >= _WEEK and draw.random() > _IN_THE_WEEK_BEFORE):
            continue
        start = days.start_of(day)
        (hour,) = draw.choices(range(24), _HOURS)
        moment = start + timedelta(hours=hour, seconds=draw.uniform(0, 3600))
        if moment <= latest:
            return moment


def _draw_visit(number: int, at: datetime, customers: int, draw: random.Random) -> Visit:
    (offer,) = draw.choices(OFFERS, [each.weight for each in OFFERS])
    (method,) = draw.choices([name for name, _ in METHODS], [weight for _, weight in METHODS])
    (ending,) = draw.choices(list(_ENDINGS), list(_ENDINGS.values()))
    return Visit(
        number,
        at,
        # Some come often.
        int(customers * draw.random() ** 1.6),
        offer,
        draw.choice(offer.prices),
        method,
        ending,
        timedelta(seconds=draw.triangular(20, 300, 60)),
        draw.random() < 0.12,
    )
