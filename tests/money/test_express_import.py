"""`kernapay import express`: accounts and payments of the earlier service come here, by the gateway's word."""

import asyncio
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from bson import ObjectId

from kernapay.core.clock import now
from kernapay.devstack.servers import MongoServer
from kernapay.express_import.account_import import AccountImport
from kernapay.express_import.account_plan import AccountPlanner
from kernapay.express_import.amounts import Unit
from kernapay.express_import.changes import Changes
from kernapay.express_import.gateway_orders import GatewayOrders
from kernapay.express_import.payment_import import PaymentImport
from kernapay.express_import.payment_rows import OldPayment
from kernapay.express_import.report import Report
from kernapay.express_import.repository import ExpressDatabase
from kernapay.payments.imported.models import Former
from kernapay.payments.imported.service import ImportedPayments
from kernapay.payments.models import Payment
from tests.actors import PAYMENTS, USERS, assert_problem, log_in, verify
from tests.aliases import Json, Store
from tests.databases import open_store, row_of
from tests.factories import payment_body, unique
from tests.in_process import InProcess
from tests.money.books import pay_twice
from tests.money.express import IMPORT, ExpressService, hash_of
from tests.money.shop import Shop

pytestmark = pytest.mark.long

LISTED = re.compile(r"^([a-z][^:\n]*): (\d+)$", re.MULTILINE)


@pytest.fixture
def express(shop: Shop, mongo_server: MongoServer, fresh_database: Any) -> Iterator[ExpressService]:
    """The old service, with a database of its own."""
    with open_store(mongo_server.database_url(fresh_database())) as database:
        yield ExpressService(database, shop.sandbox)
        database.client.drop_database(database.name)


@pytest.fixture
def run(shop: Shop, express: ExpressService, mongo_server: MongoServer) -> Any:
    """Run the import as an operator does."""
    shop.store.users.delete_many({"formerSeen": {"$exists": True}})

    def run(*arguments: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        env["EXPRESS_MONGODB_URL"] = mongo_server.database_url(express.db.name)
        done = shop.kernapay("import", "express", *arguments, **env)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    return run


def contents(db: Store) -> dict[str, list[Json]]:
    return {name: list(db[name].find()) for name in sorted(db.list_collection_names())}


def lists(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return {kind: int(count) for kind, count in LISTED.findall(done.stdout)}


def here(shop: Shop, old: Json) -> Json:
    return row_of(shop.store.payments, _id=old["_id"])


def test_payments_come_with_the_gateways_word_and_old_references_keys_and_passwords_work(
    shop: Shop, express: ExpressService, run: Any, api: httpx.Client
) -> None:
    email = f"Asha.{unique()}@Example.com"
    asha = express.sign_up(email, "pass<word1")
    doctor = express.sign_up(f"{unique()}@example.com", type="DOCTOR")
    forged = express.buy(asha, 700, status="success")
    lost = express.buy(asha, 500, "success", status="failed", providerId=doctor)
    refunded = express.buy(asha, 300, "success", status="success")
    shop.sandbox.refund(refunded["razorpayPaymentId"], 10_000)
    shop.sandbox.refund(refunded["razorpayPaymentId"])
    declined = express.buy(asha, 5, "failure")
    rows = [forged, lost, refunded, declined]
    before = contents(express.db)

    seen = run("--dry-run")
    assert "Nothing was written" in seen.stdout
    assert shop.store.payments.count_documents({}) == 0
    assert shop.store.users.count_documents({"formerSeen": {"$exists": True}}) == 0
    done = run()

    assert contents(express.db) == before
    assert shop.store.insight_holds.count_documents({}) == 0, "the sums of that time are not used"
    assert (
        lists(seen)
        == lists(done)
        == {
            "shown as paid, never was": 1,
            "paid, not shown as paid": 1,
            "refunded, shown as paid": 1,
            "shown by another word": 1,
        }
    )
    assert [here(shop, row)["status"] for row in rows] == [
        "pending",
        "success",
        "refunded",
        "failed",
    ]
    assert [here(shop, row)["amount"] for row in rows] == [70_000, 50_000, 30_000, 500]
    assert "0 payment(s) differ" in done.stdout
    assert "0 difference(s), 0 could not be compared" in done.stdout
    row = here(shop, lost)
    assert row["former"]["status"] == "failed"
    assert row["former"]["amount"] == "500"
    assert (row["createdAt"], row["description"]) == (lost["createdAt"], "A first visit <b>")
    assert row["payeeId"] == ObjectId(doctor)
    assert row["updatedAt"] == row["paidAt"], "the next night would ask about every old sale"
    assert row["history"][0]["reason"].endswith("showed it as failed")
    assert len(here(shop, refunded)["refunds"]) == 2
    # Nothing was done at the gateway, and nobody is told of old sales.
    assert all("announce" not in here(shop, each) for each in rows)
    assert here(shop, forged)["referenceId"] != forged["referenceId"]

    account = row_of(shop.store.users, _id=ObjectId(asha))
    assert (account["email"], account["name"]) == (email.lower(), "Asha <Rao>")
    assert (account["mobileNumber"], account["isEmailVerified"]) == (9876543210, False)
    assert row_of(shop.store.users, _id=ObjectId(doctor))["type"] == "PROVIDER"
    user = log_in(api, email, "pass<word1")
    user = log_in(api, email, "pass<word1")  # by the new hash
    assert_problem(
        api.post(f"{USERS}/login", json={"email": email, "password": "pass&lt;word1"}), 401
    )

    status = f"{PAYMENTS}/status/{lost['referenceId']}"
    assert_problem(api.get(status), 404)
    assert user.call("GET", status).json()["referenceId"] == row["referenceId"]
    assert api.get(f"{PAYMENTS}/status/{row['referenceId']}").json()["amount"] == 50_000
    assert user.call("GET", f"{PAYMENTS}/{lost['referenceId']}").json()["status"] == "success"
    other = log_in(api, row_of(shop.store.users, _id=ObjectId(doctor))["email"], "correct horse")
    assert_problem(other.call("GET", f"{PAYMENTS}/status/{forged['referenceId']}"), 404)
    orders = shop.sandbox.order_count()
    again = user.create(payment_body(idempotencyKey=lost["idempotencyKey"], amount=500))
    assert (again.status_code, again.json()["data"]["orderId"]) == (200, lost["orderId"])
    assert shop.sandbox.order_count() == orders
    # A page of Checkout that was open during the move.
    checkout = shop.sandbox.pay(forged["orderId"])
    verified = verify(api, {"referenceId": forged["referenceId"]}, checkout)
    assert verified.status_code == 200, verified.text
    assert here(shop, forged)["status"] == "success"
    assert len(user.history().json()) == 4


def test_an_import_goes_on_wherever_it_was_killed_and_brings_only_what_changed(
    shop: Shop, express: ExpressService, run: Any, api: httpx.Client, tmp_path: Path
) -> None:
    email = f"{unique()}@example.com"
    asha = express.sign_up(email)
    rows = [express.buy(asha, 100 + n, "success" if n % 2 else None) for n in range(6)]
    for point in (*IMPORT, "settle.written"):
        armed = tmp_path / "armed"
        armed.write_text(point)
        assert run(code=None, KERNAPAY_CRASH_AT=str(armed)).returncode == -9
        assert not armed.exists()
        told = {"announce": {"$exists": True}}
        assert shop.store.payments.count_documents(told) == 0, "old sales are told of"
    run()
    found = {row["_id"]: row for row in shop.store.payments.find()}
    assert [found[row["_id"]]["amount"] for row in rows] == [10_000 + 100 * n for n in range(6)]
    assert [found[row["_id"]]["status"] for row in rows] == ["pending", "success"] * 3
    assert [len(found[row["_id"]]["history"]) for row in rows] == [1, 2] * 3
    due = {found[row["_id"]]["checkAt"] for row in rows[::2]}
    assert len(due) == 3, "all are due at once"

    again = run()
    assert "6  unchanged" in again.stdout
    assert {row["_id"]: row for row in shop.store.payments.find()} == found
    # Money that came twice is listed, and nobody touches it.
    twice = pay_twice(shop, {"orderId": rows[3]["orderId"]})
    assert lists(run(code=1))["paid twice"] == 1
    assert here(shop, rows[3])["razorpayPaymentId"] != twice
    # Until the move, the old service goes on: one is refunded, one is new. One is paid here.
    verify(api, rows[0], shop.sandbox.pay(rows[0]["orderId"]))
    shop.sandbox.refund(rows[1]["razorpayPaymentId"])
    new = express.buy(asha, 900, "success")
    moved = {"name": "Asha R", "mobileNumber": 9876543211, "password": hash_of("new password")}
    express.db.users.update_one({}, {"$set": moved})
    # The number of before, here.
    shop.store.users.update_one({"_id": ObjectId(asha)}, {"$set": {"isMobileNumberVerified": True}})
    last = run(code=1)
    assert "announce" in here(shop, rows[0]), "what was paid here is told to nobody"
    assert "2  changed" in last.stdout
    assert "4  unchanged" in last.stdout
    assert [here(shop, row)["status"] for row in (rows[0], rows[1], new)] == [
        *("success", "refunded", "success")
    ]
    account = row_of(shop.store.users, _id=ObjectId(asha))
    assert (account["name"], account["mobileNumber"]) == ("Asha R", 9876543211)
    assert not account["isMobileNumberVerified"], "nobody has verified the new number"
    user = log_in(api, email, "new password")
    # What is changed here stays, although every sign-in there changes the row.
    user.call("PUT", f"{USERS}/update", json={"name": "Asha of here"})
    express.db.users.update_one({}, {"$set": {"refreshToken": "d.e.f"}})
    run(code=1)
    assert row_of(shop.store.users, _id=ObjectId(asha))["name"] == "Asha of here"
    # What nobody pays ends later, as every sale does, and money that came is never touched.
    shop.settle_later(timedelta(days=40))
    statuses = [here(shop, row)["status"] for row in rows]
    assert shop.sandbox.payment(twice)["amount_refunded"] == 0
    assert statuses == ["success", "refunded", "failed", "success", "failed", "success"]
    assert all(
        row["_id"] in found or row["_id"] == new["_id"] for row in shop.store.payments.find()
    )


@pytest.mark.long
def test_a_move_may_begin_before_the_gateway_was_asked_about_everything(
    shop: Shop, express: ExpressService, run: Any, api: httpx.Client
) -> None:
    asha = express.sign_up(f"{unique()}@example.com")
    paid, paise, touched, failed = (
        express.buy(asha, 500, "success", status="success"),
        express.buy(asha, 450, "success", amount=45_000, status="success"),
        express.buy(asha, 300, amount=30_000),
        express.buy(asha, 5, "failure", status="success"),
    )
    # More came in than was ordered: by its receipt, the order is known to be the one of this payment.
    shop.sandbox.fault("customer_fee", options={"order_amount_paid": "order"})
    fee = express.buy(asha, 250, "success", status="success")
    orderless = express.buy(asha, 7, orderId=None, razorpayOrderId=None)
    assert "needs --amounts" in run("--statuses-later", code=2).stderr
    calls = shop.sandbox.fault("server_error", times=1000)

    first = run("--statuses-later", "--amounts", "rupees", code=1)

    assert shop.sandbox.hits(calls) == 0, "the gateway was asked"
    shop.sandbox.clear()
    assert "6  not looked up yet" in first.stdout
    assert "shown as success   is to be seen" in first.stdout
    rows = [here(shop, row) for row in (paid, paise, touched, failed, fee, orderless)]
    assert [(row["status"], row["amount"]) for row in rows] == [
        ("pending", 50_000),
        ("pending", 4_500_000),
        ("pending", 3_000_000),
        ("pending", 500),
        ("pending", 25_000),
        ("pending", 700),
    ]
    assert all("checkAt" not in row and "announce" not in row for row in rows)
    again = run("--statuses-later", "--amounts", "rupees", code=1)
    assert "6  not looked up yet" in again.stdout
    # The clients are here already. One pays, over an amount that turns out to be another.
    verify(api, touched, shop.sandbox.pay(touched["orderId"]))
    assert here(shop, touched)["status"] == "pending"

    last = run()

    assert shop.store.insight_holds.count_documents({}) == 0, "the sums of that time are not used"
    rows = [here(shop, row) for row in (paid, paise, touched, failed, fee, orderless)]
    assert [(row["status"], row["amount"]) for row in rows] == [
        ("success", 50_000),
        ("success", 45_000),
        ("success", 30_000),
        ("failed", 500),
        ("success", 25_000),
        ("pending", 700),
    ]
    assert here(shop, paise)["former"]["proof"] == "order"
    assert lists(last)["amount by your word, not proved"] == 1
    assert lists(last)["shown as paid, never was"] == 1


@pytest.mark.long
def test_the_next_import_asks_the_gateway_only_about_what_has_changed(
    shop: Shop, express: ExpressService, run: Any
) -> None:
    asha = express.sign_up(f"{unique()}@example.com")
    rows = [express.buy(asha, 100 + n, "success") for n in range(3)]
    run()
    mark = {"_id": f"express:{express.db.name}"}
    began = row_of(shop.store.imports, **mark)
    assert began["isComplete"]
    # A year later: what the gateway lists of the time since then has none of these.
    shop.sandbox.refund(rows[0]["razorpayPaymentId"])
    later = {"since": began["since"] + timedelta(days=365), "isComplete": False}
    shop.store.imports.update_one(mark, {"$set": later})
    express.db.payments.update_one({"_id": rows[1]["_id"]}, {"$set": {"status": "success"}})

    second = run(code=1)

    assert "1  changed" in second.stdout
    assert "2  unchanged" in second.stdout
    assert lists(second)["paid, not shown as paid"] == 2
    assert here(shop, rows[0])["status"] == "success"
    assert "1 difference(s)" in second.stdout
    assert row_of(shop.store.imports, **mark)["since"] < later["since"]
    # What the gateway lists as new is asked about, and everything is if an operator wishes.
    third = run()
    assert "1  changed" in third.stdout
    assert here(shop, rows[0])["status"] == "refunded"
    shop.sandbox.refund(rows[1]["razorpayPaymentId"])
    shop.store.imports.update_one(mark, {"$set": later})
    assert "1  changed" in run("--all").stdout
    assert here(shop, rows[1])["status"] == "refunded"


def test_amounts_are_proved_or_asked_and_odd_rows_are_named(
    shop: Shop, express: ExpressService, run: Any, tmp_path: Path
) -> None:
    asha = express.sign_up(f"{unique()}@example.com")
    paise = express.buy(asha, 450, "success", amount=45_000.0)
    unknown = express.buy(asha, 300, orderId=None, razorpayOrderId=None, status="success")
    other = express.buy(
        asha, 20, orderId="order_AAAAAAAAAAAAAA", razorpayOrderId="order_AAAAAAAAAAAAAA"
    )
    odd = [
        express.buy(asha, 40, **changes)
        for changes in (
            {"amount": 41},
            {"amount": "1,00,000.00"},
            {"amount": -5},
            {"amount": float("nan")},
            {"currency": "KWD"},
            {"userId": {"$ne": 1}},
        )
    ]
    express.db.payments.insert_one({"_id": "text", "userId": asha, "amount": 5, "referenceId": "r"})
    hostile = express.buy(
        asha, 60, notes="=cmd|' /C calc'!A0\u202e\x00&lt;svg/onload=alert(1)>", status="\u202ex",
        createdAt="yesterday", history="none", idempotencyKey="k" * 500, referenceId="../../etc/passwd",
    )  # fmt: skip
    stranger = express.buy("not-an-id", 70, "success")

    first = run(code=1)
    assert lists(first)["cannot move"] == 9
    assert first.stdout.count("cannot be proved") == 2
    assert "neither rupees nor paise" in first.stdout
    assert here(shop, paise)["amount"] == 45_000
    assert (here(shop, hostile)["amount"], here(shop, hostile)["status"]) == (6_000, "pending")
    assert "\u202e" not in here(shop, hostile)["description"]
    assert here(shop, stranger)["userId"] == "not-an-id"
    assert shop.store.payments.count_documents({"_id": {"$in": [o["_id"] for o in odd]}}) == 0

    report = tmp_path / "report.csv"
    second = run("--amounts", "rupees", "--report", str(report), code=1)
    assert lists(second)["cannot move"] == 7
    assert lists(second)["amount by your word, not proved"] == 2
    assert lists(second)["status cannot be known"] == 2
    assert here(shop, paise)["amount"] == 45_000, "converted twice"
    assert (here(shop, unknown)["amount"], here(shop, other)["amount"]) == (30_000, 2_000)
    assert "checkAt" not in here(shop, unknown)
    assert "shown as success   is unknown" in second.stdout
    assert len(report.read_text().splitlines()) > 11
    # The unit of what is here is known, whatever is said next.
    run("--amounts", "paise", code=1)
    assert here(shop, unknown)["amount"] == 30_000


def test_a_person_chooses_among_accounts_with_one_address(
    shop: Shop, express: ExpressService, run: Any, api: httpx.Client, tmp_path: Path
) -> None:
    name = unique()
    first = express.sign_up(f"A.{name}@Example.com", "first password")
    second = express.sign_up(f"a.{name}@example.com ", "second password")
    third = express.sign_up(f"a.{name}@example.COM")
    nobody = express.sign_up("no address")
    payments = [express.buy(each, 100, "success", status="success") for each in (first, second)]
    file = tmp_path / "duplicates.csv"

    waiting = run("--duplicates", str(file), code=1)
    assert shop.store.payments.count_documents({}) == 0
    assert lists(waiting)["cannot move"] == 6
    assert file.stat().st_mode & 0o077 == 0
    lines = file.read_text().splitlines()
    assert {line.split(",")[0] for line in lines[2:]} == {first, second, third, nobody}
    assert f"{second},,a.{name}@example.com ,1,1" in lines
    file.write_text(f"id,becomes\n{first},keep\n{second},perhaps\n")
    assert "neither keep, merge nor an e-mail" in run("--duplicates", str(file), code=2).stderr

    file.write_text(
        f"id,becomes\n{first},keep\n{second},merge\n{third},c.{name}@example.com\n"
        f"{nobody},n.{name}@example.com\n"
    )
    # Whose account cannot move yet, to them no payments move either.
    express.db.users.update_one({"_id": ObjectId(first)}, {"$set": {"password": "none"}})
    assert lists(run("--duplicates", str(file), code=1))["cannot move"] == 3
    assert shop.store.payments.count_documents({}) == 0
    same = {"password": hash_of("first password")}
    express.db.users.update_one({"_id": ObjectId(first)}, {"$set": same})
    assert "fill in what is empty" not in run("--duplicates", str(file)).stdout
    user = log_in(api, f"a.{name}@example.com", "first password")
    assert {each["referenceId"] for each in user.history().json()} == {
        here(shop, each)["referenceId"] for each in payments
    }
    assert log_in(api, f"c.{name}@example.com", "correct horse").id == third
    assert shop.store.users.find_one({"_id": ObjectId(second)}) is None
    # Accounts that come to have one address later do not cost the choices of before.
    later = [express.sign_up(f"{case}.{name}@example.com") for case in "dD"]
    again = run("--duplicates", str(file), code=1)
    assert (lists(again)["cannot move"], "fill in what is empty" in again.stdout) == (2, True)
    assert lists(run("--duplicates", str(file), code=1))["cannot move"] == 2
    assert all(each in file.read_text() for each in (third, nobody, *later))
    # The old tokens of both are gone, and so is the guessable way to the payments of either.
    status = f"{PAYMENTS}/status/{payments[1]['referenceId']}"
    assert_problem(api.get(status), 404)
    assert user.call("GET", status).status_code == 200


def test_a_database_that_is_none_or_goes_away_is_named(
    shop: Shop, express: ExpressService, run: Any, mongo_url: str
) -> None:
    own = shop.kernapay("import", "express", "--from", mongo_url)
    assert (own.returncode, "is one of KernaPay" in own.stderr) == (2, True)
    empty = run(code=2)
    assert "neither users nor payments" in empty.stderr
    express.sign_up(f"{unique()}@example.com")
    unwritable = run("--report", "/nowhere/report.csv", code=2)
    assert "/nowhere/report.csv cannot be written" in " ".join(unwritable.stderr.split())
    wrong = {
        "mongodb://:secret@127.0.0.1:9/x": "--from",
        "mongodb+srv://user:secret@127.0.0.1/x": "DNS does not know",
        mongo_url.replace("://", "://user:secret@"): "refuses the user",
    }
    for url, reason in wrong.items():
        away = shop.kernapay("import", "express", "--from", url)
        assert (away.returncode, reason in away.stderr) == (2, True), away.stderr
        assert "secret" not in away.stdout + away.stderr


class Watched:
    """Imported payments, with a note of what is held whenever one is entered or gets its last change."""

    def __init__(
        self, imported: ImportedPayments, held: Callable[[], Awaitable[list[str]]]
    ) -> None:
        self._imported = imported
        self._held = held
        self.seen: list[tuple[str, list[str]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._imported, name)

    async def enter(self, draft: Payment, shown_as: str | None) -> Payment:
        self.seen.append(("enter", await self._held()))
        return await self._imported.enter(draft, shown_as)

    async def note(self, payment: Payment, former: Former, *, is_known: bool) -> bool:
        is_noted = await self._imported.note(payment, former, is_known=is_known)
        self.seen.append(("note", await self._held()))
        return is_noted


@pytest.mark.anyio
async def test_sums_are_held_while_payments_are_written_and_not_while_a_person_is_asked(
    express: ExpressService, in_process: InProcess, mongo_server: MongoServer, store: Store
) -> None:
    """A person may take longer to answer than the hold of an import lasts."""
    asha = await asyncio.to_thread(express.sign_up, f"{unique()}@example.com")
    changes = {"orderId": "order_Unknown0000001", "razorpayOrderId": "order_Unknown0000001"}
    row = await asyncio.to_thread(lambda: express.buy(asha, 700, **changes))
    asked: list[list[str]] = []

    async def held() -> list[str]:
        return await asyncio.to_thread(store.insight_holds.distinct, "paymentId")

    async def ask(old: OldPayment, reason: str) -> Unit:
        asked.append(await held())
        return Unit.RUPEES

    def show(what: str, count: int) -> None:
        """Nobody looks."""

    old, report = ExpressDatabase(mongo_server.database_url(express.db.name)), Report()
    async with in_process() as client:
        services = client.services
        gateway, pace = services.payment_gateway, services.pace
        plan = await AccountPlanner(old, {}, production=False).plan(show)
        accounts = AccountImport(old, services.user_repository, now, writes=True)
        await accounts.import_all(plan, report, show)
        watched = Watched(services.imported_payments, held)
        payments = PaymentImport(
            old,
            cast(ImportedPayments, watched),
            GatewayOrders(gateway, pace),
            Changes(gateway, pace),
            ask,
            live=False,
            writes=True,
            later=False,
        )
        await payments.import_all(plan, report, show)
        this, word = {"_id": row["_id"]}, {"$set": {"status": "failed"}}
        await asyncio.to_thread(express.db.payments.update_one, this, word)
        await payments.import_all(plan, report, show)
    old.close()
    assert (asked, report.payments) == ([[]], {"new": 1, "changed": 1})
    ours = [str(row["_id"])]
    assert watched.seen == [("enter", ours), ("note", ours), ("note", ours)]
    assert await held() == []
    stored = await asyncio.to_thread(row_of, store.payments, _id=row["_id"])
    assert stored["amount"] == 70_000
