"""Exports for finance: forms of files, units, what a spreadsheet makes of them, and exports that break off."""

import asyncio
import csv
import io
import os
import tempfile
import threading
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openpyxl
import pytest
from bson import ObjectId

from kernapay.core.errors import Unavailable
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.tally import Tally
from kernapay.payments.exports.values import By, FileFormat, Line, Lines, Money, Unit
from kernapay.payments.exports.workbook import WorkbookWriter
from kernapay.payments.exports.writers import CsvWriter, JsonLinesWriter
from kernapay.security.principal import Principal, Role
from tests.actors import PAYMENTS, Actor, assert_problem
from tests.aliases import Json, Store
from tests.in_process import InProcess, InProcessClient
from tests.stack import Sandbox

pytestmark = pytest.mark.long

EVER = {"from": "2020-01-01", "to": "2099-01-01"}
NEVER = {"from": "2099-01-01", "to": "2099-02-01"}
HEADER = (
    "referenceId,status,amount,currency,createdAt,userId,serviceType,providerId,description,paidAt,paymentMethod,"
    "razorpayOrderId,razorpayPaymentId,refundStatus,amountRefunded,livemode,payeeId,fee,tax,settledAt,amountPaid,"
    "feeBearer,offerId,final,metadata,customerId,settlementId,settlementUtr,settledAmount,refundSettlementIds,"
    "createdOn,paidOn,settledOn\r\n"
)
# The last ones are full-width, or stand behind what nobody sees.
FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1+1",
    "\N{FULLWIDTH EQUALS SIGN}1+1",
    "\N{NO-BREAK SPACE}=1",
    "\u200b=1",
)
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def ask(admin: Actor, **query: Any) -> httpx.Response:
    answer = admin.call("GET", f"{PAYMENTS}/export", params={**EVER, **query})
    assert answer.status_code == 200, answer.text
    return answer


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def json_rows(content: bytes) -> list[Json]:
    return list(msgspec.json.Decoder(dict[str, Any]).decode_lines(content))


def sheets(content: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return the cells of a workbook, by sheet and column."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    result = {}
    for sheet in book:
        header, *rows = sheet.iter_rows()
        names = [cell.value for cell in header]
        result[sheet.title] = [dict(zip(names, row, strict=True)) for row in rows]
    return result


def of_payment(rows: list[Any], payment: Json) -> Any:
    def reference(row: Any) -> Any:
        return getattr(row["referenceId"], "value", row["referenceId"])

    (row,) = (row for row in rows if reference(row) == payment["referenceId"])
    return row


class TestForms:
    def test_without_a_form_it_is_the_csv_of_earlier_versions(self, admin: Actor) -> None:
        answer = admin.call("GET", f"{PAYMENTS}/export", params=NEVER)
        assert answer.content == HEADER.encode()
        disposition = 'attachment; filename="payments.csv"'
        assert answer.headers["content-disposition"] == disposition

    def test_each_form_has_the_same_values(
        self, admin: Actor, user: Actor, sandbox: Sandbox
    ) -> None:
        payment, _ = user.buy(sandbox, amount=50_000, metadata={"n": 1, "t": "परामर्श"})
        row = of_payment(csv_rows(ask(admin).content), payment)
        found = ask(admin, format="jsonl")
        line = of_payment(json_rows(found.content), payment)
        workbook = ask(admin, format="xlsx")
        cells = of_payment(sheets(workbook.content)["payments"], payment)
        for answer, form in ((found, "jsonl"), (workbook, "xlsx")):
            assert answer.headers["content-type"] == MEDIA_TYPES[form]
            named = f'attachment; filename="payments.{form}"'
            assert answer.headers["content-disposition"] == named

        assert list(row) == list(line) == list(cells)
        assert (row["amount"], line["amount"], cells["amount"].value) == ("50000", 50_000, 50_000)
        assert cells["amount"].data_type == "n"
        assert (row["fee"], line["fee"], cells["fee"].value) == ("1180", 1_180, 1_180)
        assert line["metadata"] == {"n": 1, "t": "परामर्श"}
        assert msgspec.json.decode(row["metadata"]) == line["metadata"]
        assert msgspec.json.decode(cells["metadata"].value) == line["metadata"]
        assert line["createdAt"] == row["createdAt"]
        created_at = datetime.fromisoformat(row["createdAt"]).replace(tzinfo=None)
        assert abs(cells["createdAt"].value - created_at) < timedelta(milliseconds=2)
        assert line["createdOn"] == row["createdOn"]
        assert cells["createdOn"].value.date() == date.fromisoformat(row["createdOn"])
        assert (row["final"], line["final"], cells["final"].value) == ("true", True, True)
        assert (row["offerId"], line["offerId"], cells["offerId"].value) == ("", None, None)

    def test_with_the_mark_excel_knows_the_letters_and_the_rest_is_the_same(
        self, admin: Actor, user: Actor
    ) -> None:
        user.new_payment(description="परामर्श")
        assert ask(admin, bom=True).content == b"\xef\xbb\xbf" + ask(admin).content

    @pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
    def test_an_empty_period_is_an_empty_file(self, admin: Actor, form: str) -> None:
        content = ask(admin, **NEVER, format=form).content
        match form:
            case "csv":
                assert content == HEADER.encode()
            case "jsonl":
                assert content == b""
            case _:
                assert sheets(content) == {"payments": []}

    @pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
    def test_each_form_can_be_stored_and_lent(
        self, admin: Actor, user: Actor, api: httpx.Client, form: str
    ) -> None:
        payment = user.new_payment()
        answer = admin.call("POST", f"{PAYMENTS}/exports", json={**EVER, "format": form})
        assert answer.status_code == 201, answer.text
        assert answer.json()["name"].endswith(f".{form}")
        found = api.get(answer.json()["url"])
        assert found.status_code == 200
        assert found.headers["content-type"] == MEDIA_TYPES[form]
        rows: list[Any]
        match form:
            case "csv":
                rows = csv_rows(found.content)
            case "jsonl":
                rows = json_rows(found.content)
            case _:
                rows = sheets(found.content)["payments"]
        assert of_payment(rows, payment)

    @pytest.mark.parametrize(
        ("field", "query"),
        [
            ("format", {"format": "xls"}),
            ("unit", {"unit": "rupees"}),
            ("bom", {"bom": True, "format": "xlsx"}),
            ("bom", {"bom": True, "format": "jsonl"}),
        ],
    )
    def test_what_does_not_go_is_named(
        self, admin: Actor, field: str, query: dict[str, Any]
    ) -> None:
        for answer in (
            admin.call("GET", f"{PAYMENTS}/export", params={**EVER, **query}),
            admin.call("POST", f"{PAYMENTS}/exports", json={**EVER, **query}),
        ):
            assert_problem(answer, 400, field=field)


@pytest.mark.owasp(line="API8")
@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_any_column_is_a_formula(
    admin: Actor, user: Actor, store: Store, text: str
) -> None:
    """Also in the columns that only the gateway or an earlier system writes."""
    payment = user.new_payment(description="x")
    columns = (
        *("serviceType", "providerId", "description", "paymentMethod", "razorpayOrderId"),
        *("razorpayPaymentId", "feeBearer", "offerId", "settlementId", "settlementUtr"),
    )
    payout = {
        **{"settlementId": text, "entityId": text, "utr": text, "type": "payment"},
        **{"credit": 1, "debit": 0, "fee": 0, "tax": 0},
    }
    of_refund = {**payout, "type": "refund", "entityId": "rfnd_1"}
    store.payments.update_one(
        {"referenceId": payment["referenceId"]},
        {"$set": dict.fromkeys(columns[:-2], text) | {"settlements": [payout, of_refund]}},
    )
    try:
        row = of_payment(csv_rows(ask(admin).content), payment)
        line = of_payment(json_rows(ask(admin, format="jsonl").content), payment)
        cells = of_payment(sheets(ask(admin, format="xlsx").content)["payments"], payment)
    finally:
        store.payments.delete_one({"referenceId": payment["referenceId"]})
    for name in (*columns, "refundSettlementIds"):
        assert row[name] == f"'{text}", name
        assert line[name] == text, name
        assert (cells[name].data_type, cells[name].value) == ("s", text), name


class TestUnits:
    def test_rupees_have_two_decimals(self, admin: Actor, user: Actor, sandbox: Sandbox) -> None:
        payment, _ = user.buy(sandbox, amount=50_005)
        row = of_payment(csv_rows(ask(admin, unit="major").content), payment)
        line = of_payment(json_rows(ask(admin, unit="major", format="jsonl").content), payment)
        workbook = ask(admin, unit="major", format="xlsx").content
        cells = of_payment(sheets(workbook)["payments"], payment)
        for name, wanted in (("amount", "500.05"), ("amountRefunded", "0.00"), ("fee", "11.80")):
            assert (row[name], line[name]) == (wanted, wanted)
            assert cells[name].data_type == "n"
            assert f"{cells[name].value:.2f}" == wanted
            assert cells[name].number_format == "0.00"

    @pytest.mark.parametrize(
        ("money", "wanted"),
        [
            (Money(1, "INR"), "0.01"),
            (Money(-1, "INR"), "-0.01"),
            (Money(-123_456, "INR"), "-1234.56"),
            (Money(0, "INR"), "0.00"),
            (Money(500, "JPY"), "500"),
            (Money(1_230, "KWD"), "1.230"),
            (Money(7, "KWD"), "0.007"),
            (Money(99_999_999_999_999, "INR"), "999999999999.99"),
            (Money(9_007_199_254_740_993, "INR"), "90071992547409.93"),
        ],
    )
    def test_each_currency_has_its_decimals_and_nothing_is_rounded(
        self, money: Money, wanted: str
    ) -> None:
        assert CsvWriter(Unit.MAJOR).write([[money]]) == f"{wanted}\r\n".encode()
        as_json = JsonLinesWriter(Unit.MAJOR)
        as_json.begin(["a"])
        assert as_json.write([[money]]) == f'{{"a":"{wanted}"}}\n'.encode()
        (cell,) = sheets(written([[money]], Unit.MAJOR))["a sheet"]
        assert str(cell["a"].value) in (wanted, wanted.rstrip("0"), wanted.removesuffix(".00"))

    def test_a_number_with_more_digits_than_a_spreadsheet_has_is_text_there(self) -> None:
        longest, longer = Money(999_999_999_999_999, "INR"), Money(1_000_000_000_000_001, "INR")
        first, second = sheets(written([[longest], [longer]], Unit.MINOR))["a sheet"]
        assert (first["a"].data_type, first["a"].value) == ("n", 999_999_999_999_999)
        assert (second["a"].data_type, second["a"].value) == ("s", "1000000000000001")

    def test_a_text_that_no_cell_holds_is_cut_and_marked(self) -> None:
        longest, longer = "₹" * 16_383, "😀" * 40_000
        first, second = sheets(written([[longest], [longer]]))["a sheet"]
        assert first["a"].value == longest
        assert second["a"].value == "😀" * 16_382 + "…"


def written(lines: Lines, unit: Unit = Unit.MINOR, **options: Any) -> bytes:
    """Return a workbook of one column."""
    writer = WorkbookWriter("a sheet", unit, **options)
    writer.begin(["a"])
    writer.write(lines)
    content = b"".join(writer.finish())
    writer.close()
    return content


def test_a_full_sheet_is_followed_by_another_one() -> None:
    found = sheets(written([[number] for number in range(5)], most_lines=2))
    values = {title: [row["a"].value for row in rows] for title, rows in found.items()}
    assert values == {"a sheet": [0, 1], "a sheet 2": [2, 3], "a sheet 3": [4]}


def test_times_that_a_workbook_does_not_know_are_text() -> None:
    early = datetime(1, 1, 1, tzinfo=UTC)
    (first, second) = sheets(written([[early], [date(1899, 1, 1)]]))["a sheet"]
    assert (first["a"].data_type, second["a"].value) == ("s", "1899-01-01")


class Lots:
    """A table of any number of lines, which may break off."""

    name = "payments"
    columns = ("referenceId", "amount", "description")
    times = (By.CREATED,)

    def __init__(self, batches: int, *, breaks: bool = False) -> None:
        self._batches = batches
        self._breaks = breaks
        self.threads: set[str] = set()
        self.is_asked = asyncio.Event()

    def tally(self) -> Tally:
        return Tally(self.columns, (), ("amount",))

    async def batches(self, *_: object) -> AsyncIterator[Lines]:
        self.is_asked.set()
        for number in range(self._batches):
            yield map(self._line, range(number * 500, number * 500 + 500))
        if self._breaks:
            raise Unavailable("The database is away.")

    def _line(self, number: int) -> Line:
        self.threads.add(threading.current_thread().name)
        return (f"PAY_{number}", Money(number, "INR"), f"Consultation {number}")


ACTOR = Principal(id=str(ObjectId()), role=Role.ADMIN, session_id="s")


def service_of(client: InProcessClient, table: Lots) -> ExportService:
    services = client.services
    return ExportService(
        {None: table},
        services.file_store,
        services.audit_log,
        services.file_pool,
        services.business_days,
    )


def request_of(form: FileFormat) -> ExportRequest:
    return ExportRequest("2020-01-01", "2020-01-02", form)


def folders() -> list[Path]:
    """Return the temporary folders of exports of this process."""
    return list(Path(tempfile.gettempdir()).glob(f"kernapay-export-{os.getpid()}-*"))


@pytest.mark.anyio
@pytest.mark.parametrize("form", FileFormat)
@pytest.mark.soak
async def test_fifty_thousand_rows_take_no_more_memory_than_five_thousand(
    in_process: InProcess, form: FileFormat
) -> None:
    peaks = []
    async with in_process() as client:
        for batches in (1, 10, 100):
            table = Lots(batches)
            tracemalloc.start()
            size = 0
            async for chunk in await service_of(client, table).stream(ACTOR, request_of(form)):
                size += len(chunk)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert size > batches * 1_000
            # Lines are made where they hold nobody up.
            assert {name.rpartition("_")[0] for name in table.threads} == {"kernapay-files"}
    assert peaks[2] < peaks[1] + 1_000_000


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["broken", "left", "cancelled"])
@pytest.mark.parametrize("form", FileFormat)
async def test_an_export_that_ends_before_its_time_leaves_nothing_on_the_disk(
    in_process: InProcess, form: FileFormat, kind: str
) -> None:
    async with in_process() as client:
        table = Lots(20, breaks=kind == "broken")
        exports = service_of(client, table)

        async def read() -> None:
            async for _ in await exports.stream(ACTOR, request_of(form)):
                pass

        if kind == "broken":
            with pytest.raises(Unavailable):
                await read()
        elif kind == "left":
            chunks = await exports.stream(ACTOR, request_of(form))
            await anext(chunks)
            await chunks.aclose()  # type: ignore[attr-defined]
        else:
            task = asyncio.create_task(read())
            await table.is_asked.wait()  # so a thread writes its first lines, or is about to
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert folders() == []


def test_a_workbook_that_is_given_up_before_it_begins_makes_no_folder() -> None:
    writer = WorkbookWriter("a sheet", Unit.MINOR)
    writer.close()
    writer.begin(["a"])
    writer.write([["x"]])
    assert (list(writer.finish()), folders()) == ([], [])


@pytest.mark.anyio
@pytest.mark.parametrize("form", [FileFormat.CSV, FileFormat.JSONL])
async def test_a_file_that_breaks_off_has_no_totals(
    in_process: InProcess, form: FileFormat
) -> None:
    content = bytearray()
    request = msgspec.structs.replace(request_of(form), totals=True)

    async def read(exports: ExportService) -> None:
        async for chunk in await exports.stream(ACTOR, request):
            content.extend(chunk)

    async with in_process() as client:
        with pytest.raises(Unavailable):
            await read(service_of(client, Lots(2, breaks=True)))
    assert b"PAY_999" in content
    assert b"total" not in content.lower()
