"""Repairs look again: what is true now decides, and a finding is repaired when the money is where it should be."""

import pytest

from tests.actors import REPORTS, Actor
from tests.aliases import Json, json_of
from tests.money.books import compare, kinds, pay_twice, repair, window
from tests.money.shop import Shop


def stored(shop: Shop, finding: Json) -> Json:
    found = shop.store.reconciliation_findings.find_one({"_id": finding["_id"]})
    assert found is not None
    return dict(found)


def audit_entries(shop: Shop, finding: Json) -> list[Json]:
    where = {"action": "reconciliation.repair", "target": f"finding:{finding['_id']}"}
    return list(shop.store.audit_log.find(where))


def test_a_second_payment_stays_once_the_first_was_returned(shop: Shop, user: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    second = pay_twice(shop, payment)
    _, (finding,) = compare(shop, *window())
    # Somebody acts in the dashboard before the repair: this payment was all that the customer has paid.
    shop.sandbox.refund(checkout["razorpay_payment_id"])

    outcome, is_repaired = repair(shop, finding)

    assert shop.sandbox.payment(second)["amount_refunded"] == 0
    assert (is_repaired, "needs a decision" in outcome) == (False, True)
    assert stored(shop, finding)["repairedAt"] is None


def test_only_the_payment_of_the_finding_is_returned(shop: Shop, user: Actor) -> None:
    payment, checkout = user.buy(shop.sandbox)
    second, third = pay_twice(shop, payment, 1), pay_twice(shop, payment, 2)
    _, findings = compare(shop, *window())
    assert {f["razorpayPaymentId"] for f in findings} == {second, third}

    finding = next(f for f in findings if f["razorpayPaymentId"] == third)
    assert repair(shop, finding)[1] is True

    returned = {p: shop.sandbox.payment(p)["amount_refunded"] for p in (second, third)}
    assert returned == {second: 0, third: 50000}
    assert shop.sandbox.payment(checkout["razorpay_payment_id"])["amount_refunded"] == 0


def test_a_surplus_is_repaired_when_its_refund_is_processed(shop: Shop, user: Actor) -> None:
    payment, _ = user.buy(shop.sandbox)
    second = pay_twice(shop, payment)
    _, (finding,) = compare(shop, *window())
    shop.sandbox.fault("refund_pending", options={"seconds": 3600})

    for _ in range(2):
        outcome, is_repaired = repair(shop, finding)
        assert (is_repaired, "on its way" in outcome) == (False, True)
        assert stored(shop, finding)["repairedAt"] is None
    assert len(shop.sandbox.items(f"/v1/payments/{second}/refunds")) == 1
    # The night tells it as well: the money has not arrived.
    assert kinds(compare(shop, *window())[1]) == ["second_payment"]

    shop.sandbox.advance(3601)
    assert repair(shop, finding)[1] is True
    assert stored(shop, finding)["repairedAt"] is not None
    assert kinds(compare(shop, *window())[1]) == []


def test_a_surplus_that_the_bank_sends_back_is_returned_by_a_new_attempt(
    shop: Shop, user: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    surplus = shop.sandbox.order(receipt=shop.receipt(payment))
    paid = shop.sandbox.pay(surplus["id"])["razorpay_payment_id"]
    _, (finding,) = compare(shop, *window())
    shop.sandbox.fault("refund_fails_later", options={"seconds": 3600})
    assert repair(shop, finding)[1] is False
    shop.sandbox.advance(3601)
    assert [r["status"] for r in shop.sandbox.items(f"/v1/payments/{paid}/refunds")] == ["failed"]
    assert kinds(compare(shop, *window())[1]) == ["surplus_order"]

    assert repair(shop, finding)[1] is True
    assert repair(shop, finding)[1] is True

    refunds = shop.sandbox.items(f"/v1/payments/{paid}/refunds")
    assert sorted(r["status"] for r in refunds) == ["failed", "processed"]
    assert len({r["receipt"] for r in refunds}) == 2
    assert kinds(compare(shop, *window())[1]) == []


def test_an_order_that_was_missing_and_is_there_is_not_given_up(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    real = payment["orderId"]
    unknown = "order_Unknown0000001"
    shop.edit(payment, razorpayOrderId=unknown, orderId=unknown)
    _, findings = compare(shop, *window())
    missing = next(f for f in findings if f["kind"] == "missing_there")
    shop.edit(payment, razorpayOrderId=real, orderId=real)
    shop.sandbox.pay(real)

    outcome, is_repaired = repair(shop, missing)

    assert (outcome, is_repaired) == ("payment is success", True)


def test_nothing_is_given_up_while_another_order_of_it_is_paid(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    shop.sandbox.pay(payment["orderId"])
    unknown = "order_Unknown0000001"
    shop.edit(payment, razorpayOrderId=unknown, orderId=unknown)
    _, findings = compare(shop, *window())
    missing = next(f for f in findings if f["kind"] == "missing_there")

    # The order of our receipt was paid: somebody has to see why we name another one.
    outcome, is_repaired = repair(shop, missing)

    assert (is_repaired, "needs a decision" in outcome) == (False, True)
    assert shop.row(payment)["status"] == "pending"


@pytest.mark.parametrize("kind", ["status", "second_payment", "surplus_order", "fee"])
def test_a_dry_run_says_what_a_repair_would_do(
    kind: str, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    if kind == "status":
        shop.edit(payment, status="pending", amountRefunded=0)
    elif kind == "second_payment":
        pay_twice(shop, payment)
    elif kind == "surplus_order":
        shop.sandbox.pay(shop.sandbox.order(receipt=shop.receipt(payment))["id"])
    else:
        shop.edit(payment, fee=1)
    _, (finding,) = compare(shop, *window())
    assert finding["kind"] == kind
    before = (shop.row(payment), shop.sandbox.call("GET", "/_sandbox/snapshot")["refund"])

    path = f"{REPORTS}/{finding['reportId']}/findings/{finding['_id']}/repair"
    answer = json_of(admin.call("POST", path, params={"dryRun": "true"}))

    expected = {
        "status": "bring the payment to its state at the gateway: status pending here, paid there",
        "second_payment": "leave the first payment, and return 50000 INR of pay_",
        "surplus_order": "note the order as surplus, and return 50000 INR of pay_",
        "fee": "take over the fee 1180",
    }
    assert answer["outcome"].startswith(f"would {expected[kind]}"), answer
    assert answer["isRepaired"] is False
    assert audit_entries(shop, finding) == []
    assert before == (
        shop.row(payment),
        shop.sandbox.call("GET", "/_sandbox/snapshot")["refund"],
    )
    done = json_of(admin.call("POST", path))
    assert done["isRepaired"] is True
    (entry,) = audit_entries(shop, finding)
    assert entry["after"]["step"].startswith(expected[kind])


def test_the_command_line_repairs_a_whole_report(shop: Shop, user: Actor) -> None:
    for _ in range(2):
        shop.sandbox.pay(user.new_payment()["orderId"])
    report, findings = compare(shop, *window())
    assert kinds(findings) == ["status", "status"]
    report_id = str(report["_id"])

    dry = shop.kernapay("repair", report_id, "--dry-run")
    assert (dry.returncode, dry.stdout.count("would bring the payment")) == (1, 2), dry.stderr
    assert kinds(compare(shop, *window())[1]) == ["status", "status"]

    one = shop.kernapay("repair", report_id, str(findings[0]["_id"]))
    assert (one.returncode, one.stdout.count("payment is success")) == (0, 1), one.stderr
    rest = shop.kernapay("repair", report_id)
    assert (rest.returncode, rest.stdout.count("payment is success")) == (0, 1), rest.stderr
    assert kinds(compare(shop, *window())[1]) == []
    assert shop.kernapay("repair", "nothing").returncode == 2
    assert shop.kernapay("repair", "0" * 24).returncode == 2


def test_a_repair_with_keys_that_are_refused_changes_nothing(shop: Shop, user: Actor) -> None:
    payment = user.new_payment()
    unknown = "order_Unknown0000001"
    shop.edit(payment, razorpayOrderId=unknown, orderId=unknown)
    report, findings = compare(shop, *window())
    missing = next(f for f in findings if f["kind"] == "missing_there")

    done = shop.kernapay(
        "repair",
        str(report["_id"]),
        str(missing["_id"]),
        RAZORPAY_KEY_SECRET="not_the_secret_of_this_key",
    )

    assert done.returncode == 2
    assert shop.row(payment)["status"] == "pending"
