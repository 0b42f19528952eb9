"""Rows of the settlement feed: what is read, what is refused, and what a later read adds."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernapay.settlements.feed import read_row, read_settlement
from kernapay.settlements.models import BankSettlement, SettlementProblem
from kernapay.settlements.rows import Sums, later_facts
from kernapay.settlements.service import problems_of
from tests.aliases import Json

AT = datetime(2026, 1, 31, tzinfo=UTC)
ROW: Json = {
    "entity_id": "pay_KpSandbox00001",
    "type": "payment",
    "debit": 0,
    "credit": 48_820,
    "amount": 50_000,
    "currency": "INR",
    "fee": 1_180,
    "tax": 180,
    "on_hold": False,
    "settled": True,
    "created_at": 1_767_225_660,
    "settled_at": 1_767_312_000,
    "settlement_id": "setl_KpSandbox00001",
    "posted_at": None,
    "credit_type": "default",
    "description": "Consultation fee",
    "notes": [],
    "payment_id": None,
    "settlement_utr": "KPUTR0000000001",
    "order_id": "order_KpSandbox00001",
    "order_receipt": None,
    "method": "upi",
    "dispute_id": None,
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def test_a_row_is_read_column_by_column() -> None:
    raw = {**ROW, "payment_id": "pay_2", "order_receipt": "R1", "dispute_id": "disp_1"}
    assert read_row(raw).to_mongo() == {
        "settlementId": "setl_KpSandbox00001",
        "entityId": "pay_KpSandbox00001",
        "type": "payment",
        "credit": 48_820,
        "debit": 0,
        "amount": 50_000,
        "currency": "INR",
        "fee": 1_180,
        "tax": 180,
        "enteredAt": datetime.fromtimestamp(1_767_225_660, UTC),
        "settledAt": datetime.fromtimestamp(1_767_312_000, UTC),
        "utr": "KPUTR0000000001",
        "paymentId": "pay_2",
        "orderId": "order_KpSandbox00001",
        "orderReceipt": "R1",
        "disputeId": "disp_1",
        "method": "upi",
        "creditType": "default",
        "description": "Consultation fee",
        "onHold": False,
        "contradictions": [],
    }
    least = read_row({**ROW, "amount": None, "fee": None, "tax": None})
    assert (least.flaw, least.amount, least.fee, least.tax) == (None, 0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "flaw"),
    [
        ([1], "not an object"),
        ({**ROW, "entity_id": ""}, "entity_id or type is missing"),
        ({**ROW, "type": None}, "entity_id or type is missing"),
        ({**ROW, "entity_id": "x" * 65}, "entity_id is not an id"),
        ({**ROW, "type": "\ud800"}, "type is not an id"),
        ({**ROW, "debit": None}, "debit is missing"),
        ({**ROW, "fee": "1.5"}, "fee is not an amount"),
        ({**ROW, "tax": "?"}, "tax is not an amount"),
    ],
)
def test_a_row_that_cannot_be_read_says_why_and_stands_for_itself(raw: Any, flaw: str) -> None:
    row, again = read_row(raw), read_row(raw)
    assert (row.flaw, row.entity_id, row.type) == (flaw, again.entity_id, again.type)
    assert [row.credit, row.debit, row.amount, row.fee, row.tax] == [0] * 5
    known = raw if isinstance(raw, dict) else {}
    assert row.type == (known.get("type") if known.get("type") == "payment" else "unreadable")
    if known.get("entity_id") != ROW["entity_id"]:
        assert re.fullmatch("unreadable-[0-9a-f]{32}", row.entity_id)
        assert row.entity_id != read_row({"entity_id": 5}).entity_id
    assert row.utr == known.get("settlement_utr")


def test_no_two_rows_that_cannot_be_read_are_taken_for_one() -> None:
    assert read_row([1]).entity_id != read_row([2]).entity_id


@pytest.mark.parametrize(
    ("column", "value", "name", "expected"),
    [
        ("order_id", "x" * 64, "order_id", "x" * 64),
        ("order_id", "x" * 65, "order_id", None),
        ("order_id", "\ud7ff\ue000", "order_id", "\ud7ff\ue000"),
        ("order_id", "\udfff", "order_id", None),
        ("order_id", "", "order_id", None),
        ("description", "x" * 513, "description", "x" * 512),
        ("description", "\ud800", "description", None),
        ("description", 5, "description", None),
        ("on_hold", True, "on_hold", True),
        ("on_hold", 1, "on_hold", None),
        ("credit", 2**63 - 1, "credit", 2**63 - 1),
        ("debit", -(2**63) + 1, "debit", -(2**63) + 1),
        ("settled_at", 946_684_799, "settled_at", None),
        ("settled_at", 946_684_800, "settled_at", datetime(2000, 1, 1, tzinfo=UTC)),
        ("settled_at", 4_765_046_400, "settled_at", datetime(2120, 12, 31, tzinfo=UTC)),
        ("settled_at", 4_765_046_401, "settled_at", None),
        ("settled_at", "946684800", "settled_at", datetime(2000, 1, 1, tzinfo=UTC)),
        ("settled_at", 1.5, "settled_at", None),
    ],
)
def test_each_column_is_taken_as_far_as_it_can_be_stored(
    column: str, value: Any, name: str, expected: object
) -> None:
    row = read_row({**ROW, column: value})
    assert (row.flaw, getattr(row, name)) == (None, expected)


@pytest.mark.parametrize("credit", [48_820, 48_820.0, "48820", "48820.0"])
def test_one_amount_may_be_written_in_several_ways(credit: Any) -> None:
    row = read_row({**ROW, "credit": credit})
    assert (row.credit, row.flaw) == (48_820, None)


@pytest.mark.parametrize(
    "credit", [118.5, "118.5", True, "", "much", None, [], {}, 2**63, 1e300, float("inf")]
)
def test_an_amount_is_never_guessed(credit: Any) -> None:
    row = read_row({**ROW, "credit": credit})
    assert row.flaw is not None
    assert row.flaw.startswith("credit")
    assert (row.entity_id, row.settlement_id) == ("pay_KpSandbox00001", "setl_KpSandbox00001")
    assert (row.credit, row.debit, row.fee, row.tax) == (0, 0, 0, 0)


@pytest.mark.parametrize("notes", ["text", [], {}, None, {"a": 1}])
def test_columns_that_are_no_money_may_have_any_form(notes: Any) -> None:
    row = read_row({**ROW, "notes": notes, "description": notes, "created_at": notes})
    assert row.flaw is None
    assert row.entered_at is None


def test_an_adjustment_has_columns_that_are_missing_or_null() -> None:
    adjustment = {**ROW, "entity_id": "adj_1", "type": "adjustment", "dispute_id": "disp_1"}
    del adjustment["credit_type"]
    row = read_row({**adjustment, "settlement_utr": None, "order_id": None, "method": None})
    assert (row.flaw, row.utr, row.payment_id, row.dispute_id) == (None, None, None, "disp_1")


# The first text of a checkout waits for Hypothesis's table of all characters.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(columns=st.dictionaries(st.sampled_from(sorted(ROW)), JSON_VALUES))
def test_whatever_a_row_holds_it_can_be_stored_and_is_the_same_row_again(columns: Json) -> None:
    raw = {**ROW, **columns}
    first, again = read_row(raw), read_row(dict(reversed(raw.items())))
    for row in (first, again):
        row.created_at = row.updated_at = AT
        row.validate()
        row.to_mongo()
    assert first.to_mongo() == again.to_mongo()
    assert later_facts(first, again) is None


@given(
    first=st.sets(st.sampled_from(["settlement_utr", "created_at", "order_id", "description"])),
    second=st.sets(st.sampled_from(["settlement_utr", "created_at", "order_id", "description"])),
)
def test_a_later_read_adds_what_was_null_and_takes_nothing_away(
    first: set[str], second: set[str]
) -> None:
    stored = read_row({**ROW, **dict.fromkeys(first)})
    later = read_row({**ROW, **dict.fromkeys(second)})
    change = later_facts(stored, later)
    names = {
        "settlement_utr": "utr",
        "created_at": "enteredAt",
        "order_id": "orderId",
        "description": "description",
    }
    added = set() if change is None else set(change["$set"])
    assert added == {names[column] for column in first - second}


def test_what_a_later_read_adds_is_entered_in_the_payment_again() -> None:
    stored = read_row({**ROW, "settlement_utr": None})
    assert later_facts(stored, read_row(ROW)) == {
        "$set": {"utr": "KPUTR0000000001"},
        "$unset": {"enteredInPaymentAt": ""},
    }


def test_the_amounts_of_a_row_that_can_be_read_now_count_from_then_on() -> None:
    flawed = read_row({**ROW, "credit": "much", "method": None})
    assert later_facts(flawed, read_row({**ROW, "credit": "more"})) == {
        "$set": {"method": "upi"},
        "$unset": {"enteredInPaymentAt": ""},
    }
    money = {"credit": 48_820, "debit": 0, "amount": 50_000, "fee": 1_180, "tax": 180}
    assert later_facts(flawed, read_row(ROW)) == {
        "$set": {"method": "upi", **money},
        "$unset": {"enteredInPaymentAt": "", "flaw": ""},
    }
    assert later_facts(read_row(ROW), flawed) is None, "what was read stays read"


def test_another_amount_is_a_contradiction_once() -> None:
    stored = read_row(ROW)
    change = later_facts(stored, read_row({**ROW, "credit": 1}))
    told = "credit 1, debit 0, amount 50000, fee 1180, tax 180"
    assert change == {"$addToSet": {"contradictions": told}}
    stored.contradictions = [change["$addToSet"]["contradictions"]]
    assert later_facts(stored, read_row({**ROW, "credit": 1})) is None


@given(
    rows=st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), min_size=1, max_size=30),
    seed=st.randoms(use_true_random=False),
    lost=st.integers(-(2**20), 2**20),
)
def test_the_difference_is_what_the_bank_has_more_in_whatever_order_and_groups_rows_come(
    rows: list[tuple[int, int]], seed: Any, lost: int
) -> None:
    def sums_of(parts: list[tuple[int, int]]) -> Sums:
        empty = dict.fromkeys(Sums.__slots__, 0)
        total = Sums()
        for credit, debit in parts:
            total.add({**empty, "rows": 1, "credit": credit, "debit": debit})
        return total

    whole = sums_of(rows)
    shuffled = list(rows)
    seed.shuffle(shuffled)
    cut = seed.randrange(len(rows) + 1)
    grouped = sums_of(shuffled[:cut]).add(sums_of(shuffled[cut:]).as_mapping())
    assert grouped == whole
    assert whole.net == sum(credit - debit for credit, debit in rows)
    settlement = BankSettlement(status="processed", amount=whole.net + lost)
    expected = [SettlementProblem.AMOUNT_DIFFERS] if lost else []
    assert problems_of(settlement, grouped) == expected


@pytest.mark.parametrize("raw", [None, [], "setl_1", {}, {"id": 5}, {"id": ""}])
def test_what_is_no_settlement_is_none(raw: Any) -> None:
    assert read_settlement(raw, AT) is None


def test_a_settlement_is_read_column_by_column() -> None:
    raw = {"id": "setl_1", "status": "failed", "amount": 9, "fees": 2, "tax": 1, "utr": "u"}
    found = read_settlement({**raw, "created_at": 1_767_225_660}, AT)
    assert found is not None
    assert (found.settlement_id, found.status, found.amount, found.fees, found.tax) == (
        *("setl_1", "failed", 9, 2, 1),
    )
    assert (found.utr, found.settled_at.timestamp()) == ("u", 1_767_225_660)
    bare = read_settlement({"id": "setl_1", "amount": 9}, AT)
    assert bare is not None
    assert (bare.status, bare.fees, bare.tax, bare.settled_at) == ("unknown", 0, 0, AT)
    odd = read_settlement({**raw, "tax": "?"}, AT)
    assert odd is not None
    assert (odd.amount, odd.fees, odd.tax) == (None, 0, 0)


def test_a_settlement_without_a_readable_amount_has_none() -> None:
    found = read_settlement({"id": "setl_1", "amount": 1.5, "status": "processed"}, AT)
    assert found is not None
    assert (found.amount, found.utr, found.settled_at) == (None, None, AT)
    assert problems_of(found, Sums()) == [SettlementProblem.AMOUNT_UNKNOWN]
