"""Receipts and credit notes: what stands on them, who gets them, and their numbers."""

import asyncio
import csv
import html
import io
import random
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
from bson import ObjectId

from kernapay.config.types import ServiceType
from kernapay.payments.documents.buyers import Buyer
from kernapay.payments.documents.models import Paper, PaperKind
from kernapay.payments.documents.papers import Papers, Seller
from kernapay.payments.documents.repository import PaperRepository
from kernapay.payments.models import Payment
from kernapay.storage.repository import DuplicateRow
from kernapay.storage.unreadable import UnreadableRow
from tests.actors import CUSTOMERS, PAYMENTS, Actor, People, assert_problem, request_refund
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.databases import row_of
from tests.house.scopes import KeyHolder, new_holder
from tests.in_process import InProcess, InProcessClient
from tests.money.disputes import FIRST, invented, tell
from tests.stack import Sandbox, StartWorker
from tests.waiting import eventually

NAME = "क्षितिज शर्मा"
GSTIN = "29AAAAA0000A1ZY"


def bare(text: str) -> str:
    """Return a text without blanks, and without the signs that a reader of PDF puts in."""
    text = unicodedata.normalize("NFC", text)
    return "".join(c for c in text if unicodedata.category(c)[0] not in "ZC")


def text_of(pdf: bytes) -> str:
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return bare("".join(page.extract_text() for page in pages))


def texts_of(page: str) -> list[str]:
    """Return the texts of a page, one for each element that has some."""
    body = page.partition("<main>")[2]
    return [html.unescape(each) for each in re.findall(r">([^<>]+)<", body)]


def receipt_of(payment: Json) -> str:
    return f"{PAYMENTS}/{payment['referenceId']}/receipt"


def note_of(payment: Json, refund: httpx.Response) -> str:
    assert refund.status_code == 201, refund.text
    return f"{PAYMENTS}/{payment['referenceId']}/refunds/{refund.json()['data']['refundId']}/note"


def number_in(text: str, kind: str = "R") -> str:
    (number,) = set(re.findall(rf"TEST-{kind}\d\d-\d{{6}}", text))
    return str(number)


@pytest.fixture
def shop(user: Actor, admin: Actor) -> KeyHolder:
    return new_holder(admin, user, "USER")


def test_a_receipt_says_who_paid_what_when_as_pdf_and_as_page(
    people: People, shop: KeyHolder, admin: Actor, sandbox: Sandbox
) -> None:
    provider = people.new("PROVIDER")
    payment, checkout = shop.buy(
        sandbox,
        amount=1_20_000_50,
        description='<script>alert("x")</script> {nb} परामर्श',
        providerId=provider.id,
        customer={"name": NAME, "gstin": "27aapfu0939f1zv"},
    )
    path = receipt_of(payment)
    pdf, page = (shop.call("GET", path, params={"format": form}) for form in ("pdf", "html"))
    assert (pdf.status_code, page.status_code) == (200, 200), page.text
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.headers["content-disposition"] == 'attachment; filename="receipt.pdf"'
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    shown = texts_of(page.text)
    for part in (
        "\u20b91,20,000.50",
        "Rupees one lakh twenty thousand and paise fifty only",
        NAME,
        "GSTIN 27AAPFU0939F1ZV",
        '<script>alert("x")</script> {nb} परामर्श',
        "KernaPay",
        "Test: no real money was paid",
        payment["referenceId"],
        payment["orderId"],
        checkout["razorpay_payment_id"],
    ):
        assert part in shown
    read = text_of(pdf.content)
    assert [each for each in shown if bare(each) not in read] == []
    # The policy lets the page's own styles in, and nothing that runs.
    assert_policy(page)
    assert "<script" not in page.text
    # The same bytes each time, and for everybody who may see it.
    for caller in (shop, provider, admin):
        assert caller.call("GET", path).content == pdf.content
    assert_problem(shop.call("GET", path, params={"format": "doc"}), 400, field="format")


def test_a_refund_changes_the_receipt_and_has_a_credit_note_of_its_own(
    user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox, amount=1000_00)
    before = user.call("GET", receipt_of(payment)).content
    notes = []
    for amount, key in ((250_00, "first"), (750_00, "second")):
        refund = request_refund(admin, payment, amount, idempotencyKey=key, reason="तारीख़ बदली")
        notes.append(note_of(payment, refund))
        if key == "first":
            receipt = texts_of(user.call("GET", f"{receipt_of(payment)}?format=html").text)
            number = number_in(" ".join(receipt), "C")
            assert "\N{MINUS SIGN}\u20b9250.00" in receipt
            assert "\u20b9750.00" in receipt
            assert any(line.endswith(f"credit note {number}") for line in receipt)
    first, second = (user.call("GET", f"{note}?format=html").text for note in notes)
    assert number_in(first, "C") == number
    assert number_in(second, "C") != number
    assert number_in(first) == number_in(second) == number_in(text_of(before))
    assert "Rupees two hundred fifty only" in texts_of(first)
    assert "तारीख़ बदली" in texts_of(first)
    # What came later does not change the first note.
    assert "\u20b9750.00" in texts_of(first)
    assert "Refunded before" not in texts_of(first)
    assert "Refunded before" in texts_of(second)
    pdf = user.call("GET", notes[0])
    assert pdf.headers["content-disposition"] == 'attachment; filename="credit-note.pdf"'
    read = text_of(pdf.content)
    assert [each for each in texts_of(first) if bare(each) not in read] == []
    after = text_of(user.call("GET", receipt_of(payment)).content)
    assert number_in(after) == number_in(text_of(before))
    assert bare("Remains paid\u20b90.00") in after
    unknown = notes[0].replace("rfnd_", "rfnd_0")
    assert_problem(user.call("GET", unknown), 404)


def test_a_credit_note_is_there_once_the_refund_is_processed_and_void_when_it_comes_back(
    user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = user.buy(sandbox)
    note = note_of(payment, request_refund(admin, payment, 10000))
    reference = {"referenceId": payment["referenceId"]}

    def set_state(state: str) -> None:
        store.payments.update_one(reference, {"$set": {"refunds.0.status": state}})

    set_state("pending")
    assert_problem(user.call("GET", note), 409, code="no_credit_note")
    set_state("processed")
    number = number_in(user.call("GET", f"{note}?format=html").text, "C")
    set_state("failed")
    void = texts_of(user.call("GET", f"{note}?format=html").text)
    assert number in void
    assert "Void" in void
    assert number not in user.call("GET", f"{receipt_of(payment)}?format=html").text


@pytest.mark.parametrize(
    ("paid_at", "day", "year"),
    [
        (datetime(2026, 3, 31, 18, 29, 59, tzinfo=UTC), "31 March 2026", "25"),
        (datetime(2026, 3, 31, 18, 30, tzinfo=UTC), "1 April 2026", "26"),
    ],
)
def test_day_and_series_are_those_of_the_business(
    user: Actor, sandbox: Sandbox, store: Store, paid_at: datetime, day: str, year: str
) -> None:
    payment, _ = user.buy(sandbox)
    reference = {"referenceId": payment["referenceId"]}
    store.payments.update_one(reference, {"$set": {"paidAt": paid_at}})
    shown = texts_of(user.call("GET", f"{receipt_of(payment)}?format=html").text)
    assert day in shown
    assert number_in(" ".join(shown)).startswith(f"TEST-R{year}-")
    assert f"{paid_at:%H:%M} UTC" in " ".join(shown)


def test_there_is_none_for_what_was_not_paid(user: Actor) -> None:
    payment = user.new_payment()
    for method in ("GET", "POST"):
        assert_problem(user.call(method, receipt_of(payment)), 409, code="no_receipt")


@pytest.mark.owasp(line="API1")
def test_strangers_do_not_get_it(
    people: People, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    payment, _ = user.buy(sandbox)
    note = note_of(payment, request_refund(admin, payment, 10000))
    for role in ("USER", "PROVIDER"):
        stranger = people.new(role)
        for form in ("pdf", "html"):
            for method in ("GET", "POST"):
                path = f"{receipt_of(payment)}?format={form}"
                assert_problem(stranger.call(method, path), 404)
            assert_problem(stranger.call("GET", f"{note}?format={form}"), 404)


def test_the_name_of_an_erased_customer_is_gone(
    shop: KeyHolder, user: Actor, sandbox: Sandbox
) -> None:
    payment, _ = shop.buy(sandbox, customer={"name": "Zebulon Quux"})
    assert "ZebulonQuux" in text_of(shop.call("GET", receipt_of(payment)).content)
    erased = user.call("DELETE", f"{CUSTOMERS}/{payment['customerId']}")
    assert erased.status_code == 200
    assert "ZebulonQuux" not in text_of(shop.call("GET", receipt_of(payment)).content)


def test_a_link_to_the_stored_file_works_without_a_token(
    user: Actor, sandbox: Sandbox, api: httpx.Client
) -> None:
    payment, _ = user.buy(sandbox)
    link = user.call("POST", receipt_of(payment)).json()
    found = api.get(link["url"])
    assert found.status_code == 200, found.text
    assert found.content == user.call("GET", receipt_of(payment)).content
    assert found.headers["content-type"] == "application/pdf"
    assert payment["referenceId"] not in link["url"]
    lasts = datetime.fromisoformat(link["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < lasts <= timedelta(minutes=5)


def test_a_link_shows_the_page_for_five_minutes_and_a_code_checks_the_paper_for_good(
    user: Actor, sandbox: Sandbox, api: httpx.Client, store: Store
) -> None:
    payment, _ = user.buy(sandbox, description="Private matter")
    answer = user.call("POST", f"{receipt_of(payment)}?format=html")
    assert answer.status_code == 200, answer.text
    path = httpx.URL(answer.json()["url"]).path
    page = api.get(path)
    assert page.text == user.call("GET", f"{receipt_of(payment)}?format=html").text
    assert page.headers["cache-control"] == "no-store"
    assert_policy(page)
    flipped = path[:-1] + ("A" if path[-1] != "A" else "E")
    forged = path[:3] + ("A" if path[3] != "A" else "B") + path[4:]
    for wrong in (flipped, forged):
        refused = api.get(wrong)
        assert (refused.status_code, refused.headers["content-type"]) == (
            403,
            "text/html; charset=utf-8",
        )
        assert "Private matter" not in refused.text
    (check,) = re.findall(r'href="https://pay\.kernapay\.test(/r/check/[^"]+)"', page.text)
    checked = api.get(check)
    assert checked.status_code == 200, checked.text
    assert number_in(checked.text) == number_in(page.text)
    assert "\u20b9500.00" in checked.text
    assert_policy(checked)
    name = user.profile().json()["name"]
    for private in (name, "Private matter", payment["referenceId"]):
        assert private in page.text
        assert private not in checked.text
    assert api.get(f"{check[:-1]}{'A' if check[-1] != 'A' else 'Q'}").status_code == 404


def test_a_code_says_what_became_of_the_money_since(
    user: Actor, admin: Actor, sandbox: Sandbox, api: httpx.Client
) -> None:
    payment, checkout = user.buy(sandbox, amount=500_00)
    page = user.call("GET", f"{receipt_of(payment)}?format=html")
    (check,) = re.findall(r'href="https://pay\.kernapay\.test(/r/check/[^"]+)"', page.text)
    assert "Paid" in texts_of(api.get(check).text)
    dispute = invented(checkout["razorpay_payment_id"], amount=300_00)
    tell(api, "created", dispute)
    assert "Paid" in texts_of(api.get(check).text)
    tell(api, "lost", {**dispute, "status": "lost", "amount_deducted": 300_00}, at=FIRST + 60)
    taken = "Taken back by the payer\N{RIGHT SINGLE QUOTATION MARK}s bank: \u20b9300.00"
    assert taken in texts_of(api.get(check).text)
    assert request_refund(admin, payment, 200_00).status_code == 201
    assert f"Refunded since: \u20b9200.00; {taken}" in texts_of(api.get(check).text)


def assert_policy(page: httpx.Response) -> None:
    (policy,) = page.headers.get_list("content-security-policy")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.anyio
async def test_the_link_ends_and_the_tax_is_that_of_the_settings_when_it_was_paid(
    in_process: InProcess, user: Actor, admin: Actor, sandbox: Sandbox, people: People
) -> None:
    """Another rate or another address afterwards changes no paper that is out."""
    clock = FrozenClock(datetime.now(UTC).replace(microsecond=0))
    holder = new_holder(admin, user, "USER")
    payment, _ = holder.buy(sandbox, amount=100_00, customer={"name": "Ravi"})
    away, _ = holder.buy(
        sandbox, amount=100_00, customer={"name": "Asha", "address": {"state": "Maharashtra"}}
    )
    note = note_of(payment, request_refund(admin, payment, 33_33))
    taxed: dict[str, Any] = {
        "receipt_gstin": GSTIN,
        "receipt_address": "12 Example Street|Bengaluru 560001",
        "service_types": '{"CONSULTATION": {"sac": "999312", "gst": 18}}',
        "clock": clock,
    }
    headers = {"Authorization": f"Bearer {holder.token}"}

    async def show(client: InProcessClient, path: str) -> list[str]:
        answer = await client.get(path, params={"format": "html"}, headers=headers)
        assert answer.status_code == 200, answer.text
        return texts_of(answer.text)

    async with in_process(**taxed) as client:
        first = await show(client, receipt_of(payment))
        other = await show(client, receipt_of(away))
        partial = await show(client, note)
        query = {"rows": "credit_notes", "from": "2020-01-01", "to": "2099-01-01", "unit": "major"}
        by = {"Authorization": f"Bearer {admin.token}"}
        exported = await client.get(f"{PAYMENTS}/export", params=query, headers=by)
    for part in (
        *("12 Example Street", f"GSTIN {GSTIN}", "Karnataka (29)"),
        *(
            "\u20b984.75",
            "CGST 9%",
            "SGST 9%",
            "\u20b97.63",
            "Rounding",
            "\N{MINUS SIGN}\u20b90.01",
        ),
    ):
        assert part in first
    assert any("HSN/SAC 999312" in each for each in first)
    assert {"IGST 18%", "\u20b915.26", "Maharashtra (27)"} <= set(other)
    assert {"In this refund: CGST 9%", "\u20b92.54"} <= set(partial)
    rows = csv.DictReader(io.StringIO(exported.text))
    (row,) = (each for each in rows if each["referenceId"] == payment["referenceId"])
    assert [row[name] for name in ("amount", "cgst", "sgst", "igst")] == [
        "33.33",
        "2.54",
        "2.54",
        "",
    ]
    parts = ("value", "cgst", "sgst", "rounding")
    assert sum(Decimal(row[name]) for name in parts) == Decimal("33.33")
    assert (row["taxRate"], row["sac"], row["placeOfSupply"]) == ("18", "999312", "29")
    changed = {**taxed, "service_types": "CONSULTATION", "receipt_address": "Elsewhere"}
    async with in_process(**changed) as client:
        assert await show(client, receipt_of(payment)) == first
        links = client.services.receipt_links
        link = links.of_payment("0123456789abcdef01234567")
        token = link.url.rpartition("/")[2]
        assert links.read(token) == "0123456789abcdef01234567"
        clock.advance(minutes=5)
        assert links.read(token) is None


@pytest.mark.anyio
async def test_a_credit_note_has_the_tax_of_its_receipt_whatever_the_settings_say_by_then(
    in_process: InProcess, user: Actor, admin: Actor, sandbox: Sandbox
) -> None:
    rate = '{{"CONSULTATION": {{"sac": "{}", "gst": {}}}}}'
    home: dict[str, Any] = {"receipt_gstin": GSTIN, "service_types": rate.format("999312", 18)}
    moved: dict[str, Any] = {
        "receipt_gstin": "27AAPFU0939F1ZV",
        "service_types": rate.format("998311", 5),
    }
    untaxed: dict[str, Any] = {"service_types": "CONSULTATION"}
    headers = {"Authorization": f"Bearer {user.token}"}

    async def show(path: str, settings: dict[str, Any]) -> list[str]:
        async with in_process(**settings) as client:
            answer = await client.get(path, params={"format": "html"}, headers=headers)
            assert answer.status_code == 200, answer.text
            return texts_of(answer.text)

    async def show_note(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
        """Return a note of a third of the money, made with other settings than the receipt."""
        payment, _ = await asyncio.to_thread(user.buy, sandbox, amount=100_00)
        await show(receipt_of(payment), before)
        refund = await asyncio.to_thread(request_refund, admin, payment, 33_33)
        return set(await show(note_of(payment, refund), after))

    expected = {"In this refund: CGST 9%", "In this refund: SGST 9%", "\u20b92.54"}
    for later in (moved, untaxed):
        note = await show_note(home, later)
        assert expected | {f"GSTIN {GSTIN}"} <= note
        assert any("HSN/SAC 999312" in each for each in note)
    note = await show_note(untaxed, home)
    assert [each for each in note if "GST" in each or "SAC" in each] == []


@pytest.mark.anyio
async def test_a_later_note_changes_no_earlier_one_whatever_its_series_is_called(
    in_process: InProcess, user: Actor, admin: Actor, sandbox: Sandbox, store: Store
) -> None:
    payment, _ = await asyncio.to_thread(user.buy, sandbox, amount=100_00)
    headers = {"Authorization": f"Bearer {user.token}"}
    # Numbers of test payments have a series of their own.
    where, change = {"referenceId": payment["referenceId"]}, {"$unset": {"livemode": ""}}
    await asyncio.to_thread(store.payments.update_one, where, change)
    notes, texts = [], []
    for series in ("ZZ", "AA"):
        refund = await asyncio.to_thread(request_refund, admin, payment, 20_00)
        notes.append(note_of(payment, refund))
        async with in_process(receipt_series=series) as client:
            for path in notes:
                answer = await client.get(f"{path}?format=html", headers=headers)
                assert answer.status_code == 200, answer.text
                texts.append(texts_of(answer.text))
    first, first_again, second = texts
    assert any(each.startswith("ZZ-C") for each in first)
    assert any(each.startswith("AA-C") for each in second)
    assert first_again == first
    assert "Refunded before" not in first
    assert "Refunded before" in second


@pytest.mark.anyio
async def test_a_payment_whose_papers_cannot_be_made_holds_up_no_other(
    in_process: InProcess, user: Actor, sandbox: Sandbox, store: Store
) -> None:
    bought = [await asyncio.to_thread(user.buy, sandbox) for _ in range(2)]
    references = [payment["referenceId"] for payment, _ in bought]
    where = {"referenceId": {"$in": references}}
    rows = await asyncio.to_thread(lambda: list(store.payments.find(where).sort("_id")))
    ids = [str(row["_id"]) for row in rows]

    async def broken_for_the_first(payment: Payment) -> Buyer:
        if str(payment.pk) == ids[0]:
            raise ValueError("Nobody can read this buyer.")
        return Buyer("Asha")

    async with in_process() as client:
        services = client.services
        seller = Seller("Shop", (), GSTIN, "KP", {"CONSULTATION": ServiceType(gst=18)}, False)
        papers = Papers(
            services.paper_repository,
            services.paid_payment_repository,
            broken_for_the_first,
            seller,
            services.business_days,
        )
        await papers.issue(ids)
        issued = await services.paper_repository.of_payments([row["_id"] for row in rows])
        assert [paper.pk for paper in issued] == [ids[1]]
        # Whoever asks for it later gets it all the same.
        answer = await asyncio.to_thread(
            user.call, "GET", receipt_of({"referenceId": references[0]})
        )
        assert answer.status_code == 200


@pytest.mark.anyio
async def test_numbers_have_no_gap_and_no_double_whoever_asks_at_once(
    in_process: InProcess, store: Store
) -> None:
    """Three processes want numbers for the same papers, each for some of them and in an order of its own."""

    def draft(series: str, paper_id: ObjectId) -> Paper:
        return Paper(
            id=str(paper_id),
            payment_id=paper_id,
            kind=PaperKind.RECEIPT,
            series=series,
            at=datetime(2026, 11, 30, tzinfo=UTC),
            code=str(ObjectId()),
            seller="Shop",
        )

    dice = random.Random(3)
    async with in_process() as client:
        processes = [PaperRepository(client.services.mongo) for _ in range(3)]
        for _ in range(30):
            ids = [ObjectId() for _ in range(20)]
            series = f"T{ids[0]}-R26"
            shares = [dice.sample(ids, dice.randrange(4, 20)) for _ in processes]
            wanted = [
                process.issue(draft(series, each))
                for process, share in zip(processes, shares, strict=True)
                for each in share
            ]
            papers = await asyncio.gather(*wanted)
            by_id = {paper.pk: paper.number for paper in papers}
            assert all(by_id[paper.pk] == paper.number for paper in papers)
            assert sorted(by_id.values()) == list(range(1, len(by_id) + 1))
        # A code that another paper has is an error, and takes no number with it.
        doubled = draft(series, ObjectId())
        doubled.code = papers[0].code
        with pytest.raises(DuplicateRow):
            await processes[0].issue(doubled)
        following = await processes[0].issue(draft(series, ObjectId()))
        assert following.number == len(by_id) + 1


@pytest.mark.anyio
async def test_a_paper_that_cannot_be_read_holds_up_no_other(
    in_process: InProcess, store: Store
) -> None:
    def draft(paper_id: ObjectId) -> Paper:
        return Paper(
            id=str(paper_id),
            payment_id=paper_id,
            kind=PaperKind.RECEIPT,
            series=f"T{ids[0]}-R26",
            at=datetime(2026, 11, 30, tzinfo=UTC),
            code=str(ObjectId()),
            seller="Shop",
        )

    ids = [ObjectId() for _ in range(3)]
    async with in_process() as client:
        papers = PaperRepository(client.services.mongo)
        await papers.issue(draft(ids[0]))
        where, odd = {"_id": str(ids[0])}, {"$set": {"address": "12 Example Street"}}
        await asyncio.to_thread(store.papers.update_one, where, odd)
        outcomes = await asyncio.gather(
            *(papers.issue(draft(each)) for each in ids), return_exceptions=True
        )
        await asyncio.to_thread(store.papers.update_one, where, {"$set": {"address": []}})
    assert isinstance(outcomes[0], UnreadableRow)
    assert [each.number for each in outcomes[1:] if isinstance(each, Paper)] == [2, 3]


@pytest.mark.anyio
@pytest.mark.parametrize("payer", ["legacy-17", None])
async def test_a_payment_whose_payer_has_no_id_of_ours_has_a_receipt(
    in_process: InProcess, user: Actor, admin: Actor, sandbox: Sandbox, store: Store, payer: object
) -> None:
    """As another system may have written it."""
    payment, _ = await asyncio.to_thread(user.buy, sandbox)
    change = {"$unset": {"userId": ""}} if payer is None else {"$set": {"userId": payer}}
    where = {"referenceId": payment["referenceId"]}
    await asyncio.to_thread(store.payments.update_one, where, change)
    taxed: dict[str, Any] = {
        "receipt_gstin": GSTIN,
        "service_types": '{"CONSULTATION": {"gst": 18}}',
    }
    headers = {"Authorization": f"Bearer {admin.token}"}
    async with in_process(**taxed) as client:
        answer = await client.get(f"{receipt_of(payment)}?format=html", headers=headers)
    assert answer.status_code == 200, answer.text
    assert {"CGST 9%", "Karnataka (29)"} <= set(texts_of(answer.text))


def test_a_receipt_is_numbered_and_mailed_once_though_the_worker_dies_between(
    start_worker: StartWorker,
    admin: Actor,
    user: Actor,
    sandbox: Sandbox,
    store: Store,
    tmp_path: Path,
) -> None:
    holder = new_holder(admin, user, "USER")
    email = f"{ObjectId()}@example.com"
    order = tmp_path / "crash"
    mails = {
        "RECEIPT_MAIL": "true",
        "MAILBOX_URL": sandbox.url,
        "KERNAPAY_CRASH_AT": str(order),
    }
    doomed = start_worker(**mails)
    order.write_text("papers.numbered")
    payment, _ = holder.buy(sandbox, customer={"name": NAME, "email": email})
    eventually(lambda: not doomed.is_running)
    row = row_of(store.payments, referenceId=payment["referenceId"])
    survivor = start_worker(**mails)

    def mailed() -> list[Json]:
        return sandbox.items("/_sandbox/mailbox", to=email)

    untold = {"_id": row["_id"], "announce": {"$exists": True}}
    eventually(lambda: mailed() and not store.payments.find_one(untold))
    request_refund(admin, payment, 10000)
    eventually(lambda: len(mailed()) == 2)
    survivor.stop()
    note, receipt = sorted(mailed(), key=lambda mail: str(mail["subject"]))
    paper = row_of(store.papers, _id=str(row["_id"]))
    number = f"{paper['series']}-{paper['number']:06}"
    assert receipt["subject"] == f"KernaPay: receipt {number}"
    assert f"Attached: {number}.pdf" in receipt["text"]
    assert NAME in receipt["text"]
    assert f"This changes the receipt {number}." in note["text"]
    # Of all papers that this run has made: no number is missing, and none is there twice.
    for series in store.papers.distinct("series"):
        numbers = sorted(each["number"] for each in store.papers.find({"series": series}))
        assert numbers == list(range(1, len(numbers) + 1)), series
