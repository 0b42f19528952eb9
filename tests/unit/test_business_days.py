"""Days of a time zone: where they begin and end, and which instant a text means."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernapay.core.business_days import BusinessDays, days_between, read_day
from kernapay.core.errors import InvalidInput
from tests.unit.conftest import Load, Problems

INDIA = BusinessDays(ZoneInfo("Asia/Kolkata"))
ZONES = (
    "UTC",
    "Asia/Kolkata",
    "America/New_York",
    "Pacific/Apia",  # has no 30 December 2011
    "America/Sao_Paulo",  # its summer time began at midnight
    "America/Havana",  # its summer time ends at 1:00, so that midnight comes twice
)


def test_the_last_hours_of_march_in_utc_belong_to_april_in_india() -> None:
    assert INDIA.day_of(datetime(2026, 3, 31, 18, 29, 59, tzinfo=UTC)) == date(2026, 3, 31)
    assert INDIA.day_of(datetime(2026, 3, 31, 18, 30, tzinfo=UTC)) == date(2026, 4, 1)


def test_a_bare_day_means_its_start_there_and_a_time_keeps_its_zone() -> None:
    april = datetime(2026, 3, 31, 18, 30, tzinfo=UTC)
    assert INDIA.read_instant("2026-04-01", "from") == april
    assert INDIA.read_instant("2026-04-01T00:00:00+05:30", "from") == april
    assert INDIA.read_instant("2026-04-01T00:00:00Z", "from") == datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday!", "2026-02-30", "2026-13-01T00:00:00Z", "0001-01-01"])
def test_what_is_no_day_and_no_time_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        INDIA.read_instant(text, "from")
    assert refused.value.field == "from"


def test_a_day_alone_is_no_time() -> None:
    assert read_day("2026-01-31", "to") == date(2026, 1, 31)
    with pytest.raises(InvalidInput):
        read_day("2026-01-31T00:00:00Z", "to")


@given(
    zone=st.sampled_from(ZONES),
    seconds=st.integers(800_000_000, 2_200_000_000),  # 1995 to 2039
)
def test_every_instant_lies_in_exactly_the_day_that_it_is_said_to_lie_in(
    zone: str, seconds: int
) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    days = BusinessDays(ZoneInfo(zone))
    start, end = days.window_of(days.day_of(at))
    assert start <= at < end
    assert days.day_of(start) == days.day_of(at)


@pytest.mark.parametrize("zone", ZONES)
def test_days_follow_one_another_without_a_gap(zone: str) -> None:
    days = BusinessDays(ZoneInfo(zone))
    windows = [days.window_of(day) for day in days_between(date(2011, 1, 1), date(2019, 12, 31))]
    assert all(end == start for (_, end), (start, _) in pairwise(windows))
    lengths = {end - start for start, end in windows}
    assert max(lengths) <= timedelta(hours=25)


def test_the_days_are_those_of_india_unless_the_setting_says_otherwise(load: Load) -> None:
    assert load().business_timezone == ZoneInfo("Asia/Kolkata")
    assert load(BUSINESS_TIMEZONE="Europe/Berlin").business_timezone == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "name", ["IST+5", "Mars/Base", "../etc/passwd", "/etc/localtime", "localtime", "right/UTC"]
)
def test_an_unknown_zone_is_refused_at_the_start(problems: Problems, name: str) -> None:
    assert "Asia/Kolkata" in problems(BUSINESS_TIMEZONE=name)["BUSINESS_TIMEZONE"]
