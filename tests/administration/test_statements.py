"""What people keep or hand on: payments received, receipts, exports, and the links to them."""

import asyncio
import csv
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.files.local import LinkRefused, LocalFiles
from tests.actors import PAYMENTS, Actor, People, assert_problem
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.stack import Sandbox


def references(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [line["referenceId"] for line in answer.json()]


class TestReceived:
    def test_a_provider_sees_what_was_paid_to_them_newest_first(
        self, people: People, user: Actor, sandbox: Sandbox
    ) -> None:
        provider, stranger = people.new("PROVIDER"), people.new("PROVIDER")
        paid = [user.buy(sandbox, providerId=provider.id)[0]["referenceId"] for _ in range(4)][::-1]
        user.new_payment(providerId=provider.id)  # not paid
        user.buy(sandbox, providerId=stranger.id)

        def received(**page: Any) -> list[str]:
            return references(provider.call("GET", f"{PAYMENTS}/received", params=page))

        assert received() == paid
        assert received(count=2) == paid[:2]
        assert received(count=2, skip=2) == paid[2:]
        assert received(count=3, cursor=paid[0]) == paid[1:]
        assert received(cursor=paid[3]) == []
        (line,) = stranger.call("GET", f"{PAYMENTS}/received").json()
        assert line["status"] == "success"

    @pytest.mark.parametrize("query", ["count=0", "count=101", "skip=-1", "cursor=x"])
    def test_bad_pages_are_refused(self, people: People, query: str) -> None:
        provider = people.new("PROVIDER")
        field = query.partition("=")[0]
        assert_problem(provider.call("GET", f"{PAYMENTS}/received?{query}"), 400, field=field)


class TestExport:
    def rows(self, text: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(text)))

    def test_an_export_has_every_payment_of_the_time_once(
        self, admin: Actor, user: Actor, sandbox: Sandbox
    ) -> None:
        start = datetime.now(UTC)
        made = [user.new_payment(amount=1000 + n, metadata={"n": n, "t": "=1"}) for n in range(2)]
        made.append(user.new_payment(amount=1002))
        end = datetime.now(UTC) + timedelta(seconds=1)
        query = {"from": start.isoformat(), "to": end.isoformat()}
        answer = admin.call("GET", f"{PAYMENTS}/export", params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = [row for row in self.rows(answer.text) if row["userId"] == user.id]
        assert [row["referenceId"] for row in rows] == [payment["referenceId"] for payment in made]
        assert [row["amount"] for row in rows] == ["1000", "1001", "1002"]
        metadata = ['{"n":0,"t":"=1"}', '{"n":1,"t":"=1"}', ""]
        assert [row["metadata"] for row in rows] == metadata
        assert rows[0]["createdAt"].endswith("Z")
        later = admin.call(
            "GET", f"{PAYMENTS}/export", params={"from": "2099-01-01", "to": "2099-02-01"}
        )
        assert self.rows(later.text) == []

    def test_a_bare_day_is_one_of_the_business(
        self, admin: Actor, user: Actor, sandbox: Sandbox, store: Store
    ) -> None:
        """At 19:00 in UTC it is half past midnight in India."""
        payment = user.new_payment()
        reference = {"referenceId": payment["referenceId"]}
        created_at = datetime(2026, 3, 31, 19, 0, tzinfo=UTC)
        times = {"createdAt": created_at, "paidAt": created_at}
        store.payments.update_one(reference, {"$set": times})

        def exported(start: str, end: str) -> list[dict[str, str]]:
            answer = admin.call("GET", f"{PAYMENTS}/export", params={"from": start, "to": end})
            return [row for row in self.rows(answer.text) if row["userId"] == user.id]

        assert exported("2026-03-31", "2026-04-01") == []
        (row,) = exported("2026-04-01", "2026-04-02")
        assert row["createdAt"] == "2026-03-31T19:00:00.000Z"
        assert (row["createdOn"], row["paidOn"]) == ("2026-04-01", "2026-04-01")
        assert exported("2026-03-31T19:00:00Z", "2026-04-01") == []
        assert len(exported("2026-03-31T19:00:00Z", "2026-04-01T00:00:00Z")) == 1

    @pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1"])
    @pytest.mark.owasp(line="API8")
    def test_a_spreadsheet_finds_no_formula_in_it(
        self, admin: Actor, user: Actor, sandbox: Sandbox, text: str
    ) -> None:
        payment = user.new_payment(description=text)
        query = {"from": "2020-01-01", "to": "2099-01-01"}
        found = self.rows(admin.call("GET", f"{PAYMENTS}/export", params=query).text)
        (row,) = [row for row in found if row["referenceId"] == payment["referenceId"]]
        assert row["description"] == f"'{text}"

    def test_an_export_can_be_stored_and_lent(
        self, admin: Actor, user: Actor, sandbox: Sandbox, api: httpx.Client
    ) -> None:
        payment = user.new_payment()
        body = {"from": "2020-01-01", "to": "2099-01-01"}
        answer = admin.call("POST", f"{PAYMENTS}/exports", json=body)
        assert answer.status_code == 201, answer.text
        found = api.get(answer.json()["url"])
        assert found.status_code == 200
        assert found.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in found.headers["content-disposition"]
        assert payment["referenceId"] in [row["referenceId"] for row in self.rows(found.text)]

    @pytest.mark.parametrize(
        ("start", "end", "field"),
        [
            ("2026-13-01", "2026-01-01", "from"),
            ("2026-01-01", "tomorrow!!", "to"),
            ("2026-01-02", "2026-01-01", "to"),
            ("2026-01-01", "2026-01-01", "to"),
            ("x", "2026-01-01", "from"),
        ],
    )
    def test_bad_times_are_named(self, admin: Actor, start: str, end: str, field: str) -> None:
        times = {"from": start, "to": end}
        assert_problem(admin.call("GET", f"{PAYMENTS}/export", params=times), 400, field=field)
        assert_problem(admin.call("POST", f"{PAYMENTS}/exports", json=times), 400, field=field)

    @pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
    @pytest.mark.owasp(line="API5")
    def test_only_administrators_export(self, people: People, role: str) -> None:
        caller = people.new(role)
        times = {"from": "2020-01-01", "to": "2020-01-02"}
        assert caller.call("GET", f"{PAYMENTS}/export", params=times).status_code == 403
        assert caller.call("POST", f"{PAYMENTS}/exports", json=times).status_code == 403


@pytest.mark.owasp(line="API2")
class TestLinks:
    @pytest.fixture
    def link(self, admin: Actor) -> httpx.URL:
        body = {"from": "2020-01-01", "to": "2020-01-02"}
        return httpx.URL(admin.call("POST", f"{PAYMENTS}/exports", json=body).json()["url"])

    def test_a_changed_link_is_refused(self, api: httpx.Client, link: httpx.URL) -> None:
        later = int(link.params["expires"]) + 1
        signature = link.params["signature"]
        flipped = signature[:-1] + ("0" if signature[-1] != "0" else "1")
        for changed in (
            link.copy_set_param("expires", later),
            link.copy_set_param("signature", flipped),
            link.copy_with(path=link.path[:-5] + ("0" if link.path[-5] != "0" else "1") + ".csv"),
        ):
            assert_problem(api.get(str(changed)), 403, code="link_refused")
        assert api.get(str(link)).status_code == 200

    def test_a_link_without_its_parts_is_refused(self, api: httpx.Client, link: httpx.URL) -> None:
        for name in ("expires", "signature"):
            assert_problem(api.get(str(link.copy_remove_param(name))), 400, field=name)
        for value in ("-1", "1e99", "x", str(2**60)):
            assert_problem(
                api.get(str(link.copy_set_param("expires", value))), 400, field="expires"
            )

    @pytest.mark.parametrize(
        "name",
        [
            "..%2f..%2fetc%2fpasswd",
            "../../../../etc/passwd",
            ".env.payment",
            "export-%00.csv",
            "export-" + "0" * 32 + ".csv%00.pdf",
            "export-" + "0" * 32 + ".exe",
            "%2e%2e",
        ],
    )
    def test_no_name_leads_out_of_the_folder(
        self, api: httpx.Client, link: httpx.URL, name: str
    ) -> None:
        answer = api.get(f"/v1/api/files/{name}?{link.query.decode()}")
        assert answer.status_code in (400, 404)

    @pytest.mark.anyio
    async def test_links_expire_and_outlive_a_rotation_of_the_secret(self, tmp_path: Path) -> None:
        clock = FrozenClock(datetime(2026, 1, 1, tzinfo=UTC))
        pool = Bulkhead("files", 1)
        old = LocalFiles(tmp_path / "files", ["old"], pool, clock)
        await old.put("export-" + "0" * 32 + ".csv", io.BytesIO(b"a,b\r\n"))
        link = httpx.URL((await old.link("export-" + "0" * 32 + ".csv")).url)
        proof = (int(link.params["expires"]), link.params["signature"])
        name = link.path.rpartition("/")[2]
        rotated = LocalFiles(tmp_path / "files", ["new", "old"], pool, clock)
        assert rotated.path_of(name, *proof).read_bytes() == b"a,b\r\n"
        assert oct(rotated.path_of(name, *proof).stat().st_mode)[-3:] == "600"
        with pytest.raises(LinkRefused):
            LocalFiles(tmp_path / "files", ["new"], pool).path_of(name, *proof)
        clock.advance(minutes=5)
        with pytest.raises(LinkRefused):
            rotated.path_of(name, *proof)
        pool.close()

    @pytest.mark.anyio
    async def test_tidying_up_spares_what_is_not_ours_and_harms_no_storing(
        self, tmp_path: Path
    ) -> None:
        strange, folder, ours = (
            tmp_path / name for name in ("contract.docx", "old", f"export-{'1' * 32}.csv")
        )
        strange.write_text("signed")
        folder.mkdir()
        ours.write_text("old")
        for path in (strange, folder, ours):
            os.utime(path, (1_700_000_000, 1_700_000_000))
        pool = Bulkhead("files", 8)
        stores = [LocalFiles(tmp_path, ["secret"], pool) for _ in range(40)]
        names = [f"export-{number:032x}.csv" for number in range(len(stores))]
        await asyncio.gather(
            *(store.put(name, io.BytesIO(b"a")) for store, name in zip(stores, names, strict=True))
        )
        pool.close()
        assert set(os.listdir(tmp_path)) == {"contract.docx", "old", *names}

    @pytest.mark.anyio
    async def test_storing_looks_through_the_folder_now_and_then_only(self, tmp_path: Path) -> None:
        pool = Bulkhead("files", 1)
        store = LocalFiles(tmp_path, ["secret"], pool)
        await store.put(f"export-{'0' * 32}.csv", io.BytesIO(b"a"))
        old = tmp_path / f"export-{'1' * 32}.csv"
        old.touch()
        os.utime(old, (1_700_000_000, 1_700_000_000))
        await store.put(f"export-{'2' * 32}.csv", io.BytesIO(b"a"))
        pool.close()
        assert old.name in os.listdir(tmp_path)
