"""Every business day gets one good report, and a night that was missed is made up."""

from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import Any

import pytest

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.commands.doctor.nightly_reports import nights as examine_nights
from kernapay.core.clock import now
from kernapay.core.metrics import exposition
from kernapay.health.gauges import read_gauges
from tests.actors import Actor
from tests.aliases import Json
from tests.money.books import DAY, age, make_nights, until_noon
from tests.money.shop import Shop

INDIA = timedelta(hours=5, minutes=30)
WRONG = {"razorpay_key_secret": "not_the_secret_of_this_key"}


def yesterday(at: datetime) -> date:
    """Return the last business day whose night has begun at one o'clock in India."""
    return (at + INDIA - timedelta(hours=1)).date() - DAY


async def request(services: Services) -> bool:
    return await services.reconciliation_service.request_nightly()


async def make_one(services: Services) -> bool:
    return await services.reconciliation_service.sweep_reports()


async def missing(services: Services) -> list[date]:
    return (await services.nightly_reports.standing()).missing


def nights(shop: Shop) -> dict[str, Json]:
    return {row["night"]: row for row in shop.store.reconciliation_reports.find().sort("night", 1)}


def test_missed_nights_are_made_up_the_oldest_first(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 5 * DAY)
    last = yesterday(now())
    expected = [last - number * DAY for number in reversed(range(5))]
    expected = [day for day in expected if day >= (shop.row(payment)["createdAt"] + INDIA).date()]
    assert len(expected) >= 4
    assert shop.work(missing) == expected

    assert shop.work(request) is True
    assert list(nights(shop)) == [day.isoformat() for day in expected]
    assert shop.work(make_one) is True

    states = [row["state"] for row in nights(shop).values()]
    assert states == ["done", *["requested"] * (len(expected) - 1)]
    assert shop.work(missing) == expected[1:]
    assert shop.work(make_nights) == len(expected) - 1
    assert shop.work(missing) == []
    assert shop.work(request) is False
    # Business days: from midnight to midnight in India, without a gap.
    windows = [(row["from"], row["to"]) for row in nights(shop).values()]
    assert {(start.hour, start.minute) for start, _ in windows} == {(18, 30)}
    assert [start for start, _ in windows[1:]] == [end for _, end in windows[:-1]]


def test_a_night_that_failed_is_made_up_once_the_keys_are_right(shop: Shop, user: Actor) -> None:
    later = until_noon()
    assert shop.work(request, later) is True
    for _ in range(7):
        shop.work(make_one, later, **WRONG)
        later += timedelta(minutes=11)
    (night,) = nights(shop).values()
    assert night["state"] == "failed"
    assert len(shop.work(missing, later)) == 1

    # Not at once, and not never.
    assert shop.work(request, later) is False
    later += timedelta(hours=1)
    assert shop.work(request, later) is True
    assert shop.work(request, later) is False
    assert shop.work(make_one, later) is True

    (night,) = nights(shop).values()
    assert (night["state"], night["isComplete"]) == ("done", True)
    assert shop.work(missing, later) == []


def test_a_night_that_is_not_complete_is_not_good_and_made_again(shop: Shop, user: Actor) -> None:
    fault = shop.sandbox.fault("refused", times=None, route="/v1/refunds")
    noon = until_noon()
    assert shop.work(make_nights, noon) == 1
    (night,) = nights(shop).values()
    assert (night["state"], night["isComplete"], len(night["unchecked"])) == ("done", False, 1)
    assert len(shop.work(missing, noon)) == 1
    shop.sandbox.call("DELETE", f"/_sandbox/faults/{fault['id']}")

    assert shop.work(request, noon + timedelta(hours=2)) is False
    shop.work(make_nights, noon + DAY + timedelta(hours=1))

    assert all(row["isComplete"] for row in nights(shop).values())


def test_a_night_of_an_earlier_version_which_compared_less_is_made_again(shop: Shop) -> None:
    last = yesterday(now()).isoformat()
    at = now() - timedelta(hours=12)
    shop.store.reconciliation_reports.insert_one(
        {
            "night": last,
            "from": at - 2 * DAY,
            "to": at - DAY,
            "state": "done",
            "attempts": 1,
            "leaseUntil": at,
            "finishedAt": at,
            "createdAt": at,
            "updatedAt": at,
        }
    )
    assert shop.work(make_nights) == 1
    assert nights(shop)[last]["isComplete"] is True


def test_nights_are_made_up_for_as_long_as_the_gateway_answers(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.edit(payment, createdAt=now() - 400 * DAY)

    noon = until_noon()
    due = shop.work(missing, noon)

    assert len(due) in (179, 180)
    assert due[-1] == yesterday(now() + noon)


def test_the_age_of_the_last_good_night_is_a_metric(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 3 * DAY)

    def metrics() -> dict[str, float]:
        async def read(services: Services) -> str:
            return exposition(await read_gauges(services.gauge_sources)).decode()

        lines = [line.split() for line in shop.work(read).splitlines()]
        names = ("kernapay_last_good_night_age_seconds", "kernapay_nights_missing")
        return {line[0]: float(line[1]) for line in lines if line[0] in names}

    before = metrics()
    assert before["kernapay_last_good_night_age_seconds"] == inf
    assert before["kernapay_nights_missing"] >= 2
    shop.work(make_nights)
    after = metrics()
    assert 3600 <= after["kernapay_last_good_night_age_seconds"] < 25 * 3600
    assert after["kernapay_nights_missing"] == 0


def test_doctor_names_the_nights_that_are_missing(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    age(shop, payment, 3 * DAY)

    async def examine(services: Services) -> list[Finding]:
        return await examine_nights(services, now)

    (found,) = shop.work(examine)
    assert found.level is Level.WARN
    assert "no day has a complete report yet" in found.detail
    assert str(yesterday(now())) in found.detail
    shop.work(make_nights)
    (found,) = shop.work(examine)
    assert found.level is Level.OK
    assert found.detail.startswith("the last day with a complete report ended ")


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Kolkata", 18), ("Europe/Berlin", 23)])
def test_a_night_is_a_day_of_the_business(zone: str, hour: int, shop: Shop) -> None:
    clock_at = datetime(2027, 1, 20, 12, tzinfo=UTC)
    options: dict[str, Any] = {"business_timezone": zone}
    assert shop.work(request, clock_at - now(), **options) is True
    (night,) = nights(shop).values()
    assert night["to"].hour == hour
    assert night["to"] - night["from"] == DAY
