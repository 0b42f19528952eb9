"""After a restore of an older copy, the gateway's orders give back what our database lost."""

import hashlib
from typing import Any

import httpx
import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.payments.models import Payment
from kernapay.payments.note_hashes import hash_notes
from kernapay.payments.order_notes import NOTE, client_notes, hash_key, pack, unpack
from kernapay.payments.references import new_reference_id
from tests.actors import CUSTOMERS, Actor, People, assert_problem
from tests.aliases import Json
from tests.databases import row_of
from tests.factories import payment_body
from tests.house.scopes import new_holder
from tests.money.books import pay_twice, read, refunds_of, settle
from tests.money.disputes import request_refund
from tests.money.shop import Shop
from tests.stack import Api

pytestmark = pytest.mark.long

SINCE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Copy:
    """A copy of the payments, and the time at which it was made."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.rows = list(shop.store.payments.find())
        self.at = now()

    def restore(self) -> None:
        self._shop.store.payments.delete_many({})
        if self.rows:
            self._shop.store.payments.insert_many(self.rows)

    def reconcile(self) -> Any:
        return self._shop.kernapay("reconcile", "--since", self.at.strftime(SINCE_FORMAT))


@pytest.fixture
def restarted(user: Actor, second_api: Api) -> Actor:
    """The user at a process that was started after the restore, as it is prescribed: it remembers nothing."""
    return user.at(second_api.client)


def last_report(shop: Shop) -> Any:
    (report,) = shop.store.reconciliation_reports.find().sort("_id", -1).limit(1)
    return report["_id"]


def create(user: Actor, key: str, **changes: Any) -> httpx.Response:
    return user.create(payment_body(idempotencyKey=key, **changes))


def test_what_the_gateway_knows_is_rebuilt_and_old_keys_are_answered(
    shop: Shop, user: Actor, restarted: Actor, admin: Actor
) -> None:
    def new(key: str, **changes: Any) -> Json:
        answer = create(user, key, **changes)
        assert answer.status_code == 201, answer.text
        data: Json = answer.json()["data"]
        return data

    kept = new("kept")  # paid after the copy
    kept_refunded, checkout = user.buy(shop.sandbox)  # refunded after the copy
    copy = Copy(shop)
    shop.sandbox.pay(kept["orderId"])
    shop.sandbox.refund(checkout["razorpay_payment_id"], 700)
    lost = {
        "unpaid": new("unpaid"),
        "paid": new("paid", notes={"cart": "42"}),
        "refunded": new("refunded"),
        "partly": new("partly"),
        "declined": new("declined"),
    }
    for key in ("paid", "refunded", "partly"):
        paid = shop.sandbox.pay(lost[key]["orderId"])["razorpay_payment_id"]
        if key != "paid":
            shop.sandbox.refund(paid, None if key == "refunded" else 1200)
    shop.sandbox.pay(lost["declined"]["orderId"], "failure")
    user.history()  # cached
    orders = shop.sandbox.order_count()
    copy.restore()

    done = copy.reconcile()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 payment(s) rebuilt" in done.stdout
    assert shop.differences() == []
    rows = {key: shop.row(payment) for key, payment in lost.items()}
    assert {key: row["status"] for key, row in rows.items()} == {
        "unpaid": "pending",
        "paid": "success",
        "refunded": "refunded",
        "partly": "success",
        "declined": "failed",
    }
    assert [rows[key]["amountRefunded"] for key in ("refunded", "partly")] == [50000, 1200]
    assert rows["paid"]["notes"] == {"cart": "42"}
    assert rows["paid"]["noteHashes"] == hash_notes({"cart": "42"})
    assert rows["paid"]["serviceType"] == payment_body()["serviceType"]
    assert str(rows["paid"]["userId"]) == user.id
    assert shop.row(kept)["status"] == "success"
    assert shop.row(kept_refunded)["amountRefunded"] == 700
    for key in ("paid", "refunded", "partly"):
        assert [step["status"] for step in rows[key]["history"]][:2] == ["pending", "success"]

    # Every old key answers with its payment, and buys nothing.
    for key, payment in lost.items():
        changes = {"notes": {"cart": "42"}} if key == "paid" else {}
        again = create(restarted, key, **changes)
        assert again.status_code == 200, again.text
        assert again.json()["data"] == payment
        other = create(restarted, key, amount=60000, **changes)
        assert_problem(other, 409, code="idempotency_key_reused")
    assert shop.sandbox.order_count() == orders
    shown = {row["referenceId"]: row["status"] for row in user.history().json()}
    assert shown[lost["paid"]["referenceId"]] == "success"
    assert len(shown) == 7

    again = copy.reconcile()
    assert (again.returncode, "0 payment(s) rebuilt" in again.stdout) == (0, True)


def test_a_history_of_payments_that_no_longer_exist_is_not_shown(shop: Shop, user: Actor) -> None:
    copy = Copy(shop)
    payment = user.new_payment()
    assert [row["referenceId"] for row in user.history().json()] == [payment["referenceId"]]
    copy.restore()
    shop.sandbox.call("POST", "/_sandbox/reset")

    assert copy.reconcile().returncode == 0

    assert user.history().json() == []


def test_users_that_are_gone_are_named(shop: Shop, people: People) -> None:
    gone = people.new()
    copy = Copy(shop)
    gone.buy(shop.sandbox)
    gone.new_payment()
    copy.restore()
    shop.store.users.delete_one({"_id": ObjectId(gone.id)})

    done = copy.reconcile()

    assert f"unknown user      {gone.id}, of 2 payment(s)" in done.stdout
    assert gone.email not in done.stdout + done.stderr
    assert shop.differences() == []


def test_an_order_whose_note_does_not_say_whose_it_is_stays_open(shop: Shop, user: Actor) -> None:
    copy = Copy(shop)
    payment = user.new_payment()
    books = shop.sandbox.call("GET", "/_sandbox/snapshot")
    books["order"][0]["notes"] = {NOTE: str(shop.row(payment)["_id"])}
    shop.sandbox.call("PUT", "/_sandbox/snapshot", books)
    copy.restore()

    done = copy.reconcile()

    assert done.returncode == 1
    assert "0 payment(s) rebuilt" in done.stdout
    assert "do not say whose it was" in done.stdout


def test_a_second_order_of_a_lost_payment_is_given_back(shop: Shop, user: Actor) -> None:
    copy = Copy(shop)
    payment, _ = user.buy(shop.sandbox)
    second = shop.sandbox.order(receipt=shop.receipt(payment))
    shop.sandbox.pay(second["id"])
    copy.restore()

    assert copy.reconcile().returncode == 0

    row = shop.row(payment)
    assert (row["razorpayOrderId"], row["status"]) == (payment["orderId"], "success")
    assert row["surplusOrders"] == [second["id"]]
    assert [r["amount"] for r in shop.sandbox.items("/v1/refunds")] == [50000]
    assert shop.differences() == []


def test_a_key_that_bought_again_before_the_rebuilding_keeps_its_new_payment(
    shop: Shop, user: Actor, restarted: Actor
) -> None:
    copy = Copy(shop)
    first = create(user, "twice").json()["data"]
    shop.sandbox.pay(first["orderId"])
    copy.restore()
    second = create(restarted, "twice").json()["data"]
    assert second["orderId"] != first["orderId"]

    assert copy.reconcile().returncode == 0

    assert shop.row(first)["status"] == "success"
    assert create(restarted, "twice").json()["data"] == second
    assert shop.differences() == []


@pytest.mark.parametrize("is_rebuilt_first", [True, False])
def test_a_key_of_two_payments_is_answered_with_the_one_that_has_it(
    is_rebuilt_first: bool, shop: Shop, user: Actor, restarted: Actor
) -> None:
    """A payment may be rebuilt while its key buys again: then both have it, one of them as a hash."""
    keys = ["before", "twice"] if is_rebuilt_first else ["twice", "before"]
    made = {key: create(user, key).json()["data"] for key in keys}
    unset = {"$unset": {"idempotencyKey": True}}
    where = {"referenceId": made["before"]["referenceId"]}
    shop.store.payments.update_one(where, unset)
    fingerprint = shop.row(made["twice"])["fingerprint"]
    shop.edit(made["before"], keyHash=hash_key(user.id, "twice"), fingerprint=fingerprint)

    for _ in range(2):
        answer = create(restarted, "twice")
        assert (answer.status_code, answer.json()["data"]) == (200, made["twice"])


def test_a_payment_that_another_system_made_answers_its_key(
    shop: Shop, user: Actor, restarted: Actor
) -> None:
    """Earlier systems stored the payer's id as text."""
    made = create(user, "old").json()["data"]
    shop.edit(made, userId=user.id)

    answer = create(restarted, "old")

    assert (answer.status_code, answer.json()["data"]) == (200, made)


def test_what_was_settled_while_the_copy_was_made_is_settled_after_the_restore(
    shop: Shop, user: Actor
) -> None:
    payment, _ = user.buy(shop.sandbox)
    copy = Copy(shop)
    settle(shop)
    read(shop)
    settled = shop.row(payment)["settlements"]
    copy.restore()  # the payments were copied before the rows of their settlement

    assert copy.reconcile().returncode == 0

    row = shop.row(payment)
    assert (row["settlements"], row["settledAt"]) == (settled, settled[0]["settledAt"])


@pytest.mark.parametrize("fault", ["low_balance", "refusal"])
def test_a_repair_that_is_refused_stays_open_and_holds_up_no_other(
    fault: str, shop: Shop, user: Actor
) -> None:
    sold, _ = user.buy(shop.sandbox)
    paid = user.new_payment()
    copy = Copy(shop)
    second = pay_twice(shop, sold)
    shop.sandbox.pay(paid["orderId"])
    copy.restore()
    route = {"route": f"/v1/payments/{second}/refund"} if fault == "refusal" else {}
    shop.sandbox.fault(fault, times=None, **route)

    done = copy.reconcile()

    assert done.returncode == 1, done.stdout + done.stderr
    assert shop.row(paid)["status"] == "success"
    left = row_of(shop.store.reconciliation_findings, reportId=last_report(shop), repairedAt=None)
    assert left["kind"] == "second_payment"
    assert f"open              finding {left['_id']} of report {left['reportId']}: " in done.stdout
    repair = shop.kernapay("repair", str(left["reportId"]))
    assert (repair.returncode, str(left["_id"]) in repair.stdout) == (1, True)


@pytest.mark.parametrize("is_reconciled", [True, False])
@pytest.mark.parametrize("amount", [20_000, None])
def test_a_refund_key_from_before_a_restore_returns_nothing_twice(
    amount: int | None, is_reconciled: bool, shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    copy = Copy(shop)
    first = request_refund(admin, payment, amount, "refund-key-1")
    made = refunds_of(shop, checkout["razorpay_payment_id"])
    copy.restore()
    if is_reconciled:
        assert copy.reconcile().returncode == 0

    again = request_refund(admin, payment, amount, "refund-key-1")
    other = request_refund(admin, payment, 100, "refund-key-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"]["refundId"] == first.json()["data"]["refundId"]
    assert_problem(other, 409, code="idempotency_key_reused")
    assert (
        refunds_of(shop, checkout["razorpay_payment_id"])
        == made
        == [(amount or 50_000, "processed")]
    )
    assert shop.row(payment)["amountRefunded"] == (amount or 50_000)
    assert shop.differences() == []


def test_two_refund_keys_of_one_payment_are_two_refunds(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    for key in ("refund-key-1", "refund-key-2"):
        assert request_refund(admin, payment, 20_000, key).status_code == 201
    refunds = shop.sandbox.items(f"/v1/payments/{checkout['razorpay_payment_id']}/refunds")
    assert len({refund["receipt"] for refund in refunds}) == 2
    assert {len(refund["receipt"]) for refund in refunds} == {40}


def test_the_note_holds_what_it_takes_in_256_characters_and_names_nobody(user: Actor) -> None:
    user_id, payment_id, payee = ObjectId(user.id), ObjectId(), ObjectId()
    key = "k" * 128
    payment = Payment(
        id=payment_id,
        user_id=user_id,
        payee_id=payee,
        reference_id=new_reference_id(user.id, now()),
        service_type="S" * 64,
        idempotency_key=key,
        fingerprint=hashlib.sha256(b"body").hexdigest(),
        amount=1,
        currency="INR",
    )

    note = pack(payment)

    assert len(note) <= 256
    assert note.startswith(str(payment_id))
    assert key not in note
    assert user.email not in note
    read = unpack({NOTE: note, "cart": "42"})
    assert read is not None
    assert read == (
        payment_id,
        user_id,
        payment.reference_id,
        hash_key(user.id, key),
        payment.fingerprint,
        payee,
        "S" * 64,
        None,
        False,
    )
    # For a customer, or with a link, the note has another form, which has room for one id more.
    customer = ObjectId()
    for changes, last in (
        ({"customer_id": customer}, (customer, False)),
        ({"customer_id": customer, "checkout": True, "payee_id": None}, (customer, True)),
        ({"checkout": True}, (None, True)),
    ):
        for name, value in changes.items():
            setattr(payment, name, value)
        packed = pack(payment)
        assert len(packed) <= 256
        assert packed.startswith(f"{payment_id}|2|")
        assert unpack({NOTE: packed}) == (*read[:5], payment.payee_id, "S" * 64, *last)
        payment.customer_id = payment.checkout = None
        for wrong in (packed.replace("|2|", "|1|"), packed[:-66] + packed[-65:], packed[:180]):
            assert unpack({NOTE: wrong}) is None
    assert client_notes({NOTE: note, "cart": "42"}) == {"cart": "42"}
    other_version = note.replace("|1|", "|9|")
    odd: list[Any] = [[], None, {}, {NOTE: 1}, {NOTE: str(payment_id)}, {NOTE: other_version}]
    assert [unpack(each) for each in odd] == [None] * len(odd)
    assert unpack({NOTE: note.replace("PAY_", "")[:40]}) is None
    # Another user's same key has another hash.
    assert hash_key(ObjectId(), key) != hash_key(user.id, key)


def test_a_rebuilt_payment_is_for_its_customer_and_its_link_works(
    shop: Shop, user: Actor, admin: Actor
) -> None:
    back_end = new_holder(admin, user, "USER")
    kept = back_end.new_payment(customer={"reference": "kept", "name": "Asha Rao"})["customerId"]
    twin = back_end.new_payment(customer={"reference": "twin"})["customerId"]
    copy = Copy(shop)
    lost = [
        back_end.new_payment(customerId=kept, checkout=True),
        back_end.new_payment(customerId=twin),
        # A customer that the copy does not have either.
        back_end.new_payment(customer={"name": "Ravi Iyer"}),
        back_end.new_payment(checkout=True),
    ]
    gone = lost[2]["customerId"]
    copy.restore()
    shop.store.customers.delete_one({"_id": ObjectId(gone)})
    path = f"{CUSTOMERS}/{twin}/merge"
    assert back_end.call("POST", path, json={"into": kept}).status_code == 200

    done = copy.reconcile()

    assert "4 payment(s) rebuilt" in done.stdout
    seen = [back_end.seen(payment["referenceId"])["customerId"] for payment in lost]
    assert seen == [kept, kept, gone, None]
    for payment in (lost[0], lost[3]):
        token = payment["checkoutUrl"].rpartition("/")[2]
        shown = user.client.get(f"/v1/api/checkout/{token}")
        assert (shown.status_code, shown.json()["state"]) == (200, "open")
    # Of the lost customer the id is back. The shop says who it is.
    empty = back_end.call("GET", f"{CUSTOMERS}/{gone}").json()
    assert (empty["shopId"], empty["name"]) == (user.id, None)
    change = {"name": "Ravi Iyer", "reference": "ravi"}
    assert back_end.call("PATCH", f"{CUSTOMERS}/{gone}", json=change).status_code == 200
    assert back_end.new_payment(customer={"reference": "ravi"})["customerId"] == gone


def test_each_order_carries_the_note_beside_fourteen_of_the_client(shop: Shop, user: Actor) -> None:
    notes = {f"n{number}": "v" for number in range(14)}
    payment = user.new_payment(notes=notes)
    (order,) = shop.sandbox.orders(shop.receipt(payment))
    assert client_notes(order["notes"]) == notes
    read = unpack(order["notes"])
    assert read is not None
    assert (str(read.user_id), read.reference_id) == (user.id, payment["referenceId"])


@pytest.mark.parametrize("since", ["1999-12-31", "2126-01-01"])
def test_a_copy_of_an_impossible_time_is_refused(shop: Shop, since: str) -> None:
    done = shop.kernapay("reconcile", "--since", since)
    assert (done.returncode, "Must be" in done.stderr) == (2, True), done.stderr
    assert shop.store.reconciliation_reports.count_documents({}) == 0
