"""A night repairs what an event would have settled: a second payment goes back, and money that came in is entered."""

import asyncio
from datetime import timedelta

import pytest
from bson import ObjectId
from msgspec.structs import replace

from kernapay.core.errors import Unavailable
from kernapay.gateway.base import GatewayPayment, GatewayUnknown
from kernapay.payments.models import Payment
from kernapay.payments.states import Status
from kernapay.reconciliation.models import Finding, Kind, Report, ReportState
from kernapay.reconciliation.nightly_repairs import NightlyRepairs
from kernapay.reconciliation.repairs import Repair, RepairService
from kernapay.reconciliation.repository import FindingRepository
from kernapay.security.principal import Actor as Acting
from tests.actors import Actor
from tests.aliases import Json, Store
from tests.money.books import DAY, OPERATOR, age, make_nights, pay_twice, refunds_of, until_noon
from tests.money.desk import AMOUNT, TOO_LATE, Desk
from tests.money.shop import Shop

pytestmark = pytest.mark.anyio


async def night(desk: Desk) -> list[Finding]:
    """Let a day pass, and the night after it. Return all findings so far, oldest first."""
    desk.clock.advance(DAY)
    service = desk.services.reconciliation_service
    await service.request_nightly()
    while await service.sweep_reports():
        pass
    return await findings_of(desk)


async def findings_of(desk: Desk) -> list[Finding]:
    """Return the findings of all nights, oldest first."""
    reports = (await desk.services.report_repository.nights("2000-01-01")).values()
    assert {each.state for each in reports} == {ReportState.DONE}
    find = desk.services.finding_repository.list
    return [found for each in reports for found in await find(report_id=each.id)]


async def report_of_today(desk: Desk) -> Report:
    """Make a report that somebody asked for, which repairs nothing by itself."""
    desk.clock.advance(seconds=1)
    window = (desk.clock() - DAY, desk.clock())
    make = desk.services.reconciliation_service.make_now
    report, _ = await make(OPERATOR, *window, lambda _, __: None)
    return report


def refunds(desk: Desk, paid: GatewayPayment) -> list[int]:
    found = desk.gateway.refunds.values()
    return [each.amount for each in found if each.payment_id == paid.id]


async def audited(store: Store, finding: Finding) -> list[Json]:
    where = {"action": "reconciliation.repair", "target": f"finding:{finding.pk}"}
    return await asyncio.to_thread(lambda: list(store.audit_log.find(where)))


async def paid_twice(desk: Desk) -> tuple[Payment, GatewayPayment, GatewayPayment]:
    payment, first = await desk.sold()
    return payment, first, desk.pay(payment, doubles=True)


async def test_a_second_payment_goes_back_as_if_an_event_had_told_of_it(
    desk: Desk, store: Store
) -> None:
    payment, first, second = await paid_twice(desk)

    (finding,) = await night(desk)

    assert (refunds(desk, first), refunds(desk, second)) == ([], [AMOUNT])
    assert await desk.surplus(payment) == [(second.id, "second_payment")]
    assert (finding.kind, finding.razorpay_payment_id) == (Kind.SECOND_PAYMENT, second.id)
    assert (finding.repaired_by, finding.repaired_at is not None) == ("nightly", True)
    (entry,) = await audited(store, finding)
    assert (entry["actor"], entry["door"], entry.get("osUser")) == ("nightly", "worker", None)
    assert f"return {AMOUNT} INR of {second.id}" in entry["after"]["step"]


async def test_a_refund_on_its_way_is_looked_at_until_it_has_arrived(
    desk: Desk, store: Store
) -> None:
    _, _, second = await paid_twice(desk)
    desk.gateway.refunds_wait = True
    first, *_ = await night(desk)
    assert first.repaired_at is None
    assert "on its way" in str(first.outcome)

    for refund in list(desk.gateway.refunds):
        desk.gateway.end_refund(refund, "processed")
    made_up = Report(id=ObjectId(), window_to=desk.clock() - timedelta(days=2, seconds=1))
    await desk.services.nightly_repairs.run(made_up)
    assert [each.repaired_at for each in await findings_of(desk)] == [None]
    findings = await night(desk)

    assert all(each.repaired_at is not None for each in findings)
    assert refunds(desk, second) == [AMOUNT]
    assert len(await audited(store, first)) == 1, "to look is no step"


async def test_if_the_first_was_returned_meanwhile_a_person_decides(
    desk: Desk, store: Store
) -> None:
    _, first, second = await paid_twice(desk)
    desk.gateway.refund_in_the_dashboard(first.id, AMOUNT, waits=False)
    for _ in range(2):
        findings = await night(desk)
    assert refunds(desk, second) == []
    finding = next(each for each in findings if each.kind is Kind.SECOND_PAYMENT)
    assert (finding.repaired_at, "needs a decision" in str(finding.outcome)) == (None, True)
    assert await audited(store, finding) == [], "to look is no step"


async def test_what_a_person_has_worked_on_is_left_to_them(desk: Desk) -> None:
    _, first, second = await paid_twice(desk)
    desk.gateway.refund_in_the_dashboard(first.id, AMOUNT, waits=False)
    finding = next(each for each in await night(desk) if each.kind is Kind.SECOND_PAYMENT)
    record = desk.services.finding_repository.record_repair
    await record(finding, "asha", "we wait for the customer", is_repaired=False)

    await night(desk)

    stored = await desk.services.finding_repository.get(id=finding.pk)
    assert (stored.repaired_by, stored.outcome) == ("asha", "we wait for the customer")
    assert refunds(desk, second) == []


class Stumbling(RepairService):
    """Raises an error where the payment of a finding has one."""

    def __init__(self, repairs: RepairService, findings: FindingRepository) -> None:
        self._real = repairs
        self._known = findings
        self.errors: dict[str, Exception] = {}

    async def repair(self, actor: Acting, report_id: str, finding_id: str, **more: bool) -> Repair:
        finding = await self._known.get(id=finding_id)
        if error := self.errors.get(str(finding.razorpay_payment_id)):
            raise error
        return await self._real.repair(actor, report_id, finding_id, **more)


async def test_what_an_earlier_service_sold_twice_is_left_to_people(
    desk: Desk, store: Store
) -> None:
    """That service, or somebody, may have given the money back without the gateway."""
    payment, first, second = await paid_twice(desk)
    former = {"service": "express", "amount": "500", "unit": "rupees", "proof": "order"}
    await asyncio.to_thread(
        store.payments.update_one, {"_id": payment.pk}, {"$set": {"former": former}}
    )
    (found,) = await night(desk)
    assert (found.kind, found.repaired_at) == (Kind.SECOND_PAYMENT, None)
    assert "left to a person" in str(found.outcome)
    assert refunds(desk, first) == refunds(desk, second) == []
    # Nor does a look at the payment.
    await desk.services.resync.payment(await desk.services.payment_repository.get(id=payment.pk))
    assert refunds(desk, second) == []
    assert (await desk.services.payment_repository.get(id=payment.pk)).surplus_payments == []
    # A person does.
    repair = desk.services.repair_service.repair
    await repair(OPERATOR, str(found.report_id), str(found.pk))
    assert refunds(desk, second) == [AMOUNT]


async def test_one_that_cannot_be_repaired_now_holds_up_no_other_and_is_tried_again(
    desk: Desk,
) -> None:
    seconds = [second for _, _, second in [await paid_twice(desk) for _ in range(3)]]
    report = await report_of_today(desk)
    services = desk.services
    stumbling = Stumbling(services.repair_service, services.finding_repository)
    repairs = NightlyRepairs(
        services.report_repository,
        services.finding_repository,
        stumbling,
        services.payment_repository,
        desk.clock,
    )
    stumbling.errors = {
        seconds[0].id: GatewayUnknown("no answer"),
        seconds[1].id: ValueError("a bug"),
    }
    await repairs.run(report)
    assert [refunds(desk, each) for each in seconds] == [[], [], [AMOUNT]]
    found = await services.finding_repository.list(report_id=report.pk)
    assert {str(each.outcome) for each in found} == {
        "payment is success",
        "not repaired yet: no answer",
        "not repaired yet: the log of the worker has the error",
    }
    assert {each.repaired_by for each in found} == {"nightly"}

    stumbling.errors = {seconds[0].id: Unavailable("MongoDB is away.")}
    with pytest.raises(Unavailable):
        await repairs.run(report)

    stumbling.errors = {}
    await repairs.run(report)
    assert [refunds(desk, each) for each in seconds] == [[AMOUNT]] * 3


async def test_what_earlier_nights_left_open_before_there_were_repairs_is_left_to_people(
    desk: Desk,
) -> None:
    _, _, second = await paid_twice(desk)
    report = await report_of_today(desk)
    await desk.services.report_repository.update_where(
        {"id": report.pk}, set__night=desk.clock().date().isoformat()
    )
    desk.clock.advance(seconds=1)
    later = await report_of_today(desk)
    (finding,) = await desk.services.finding_repository.list(report_id=later.pk)
    await desk.services.finding_repository.record_repair(finding, "asha", "no", is_repaired=False)
    await desk.services.nightly_repairs.run(later)
    assert refunds(desk, second) == []


async def test_a_night_made_up_long_afterwards_leaves_its_findings_to_people(desk: Desk) -> None:
    _, _, second = await paid_twice(desk)
    report = await report_of_today(desk)
    desk.clock.advance(timedelta(days=14))
    await desk.services.nightly_repairs.run(report)
    assert refunds(desk, second) == [AMOUNT], "as old as the oldest that is looked after"

    _, _, second = await paid_twice(desk)
    report = await report_of_today(desk)
    desk.clock.advance(timedelta(days=14, seconds=1))
    await desk.services.nightly_repairs.run(report)
    assert refunds(desk, second) == []


class TestMoneyOfWhichNobodyHeard:
    async def late(self, desk: Desk) -> tuple[Payment, GatewayPayment]:
        payment = await desk.ended()
        desk.clock.advance(TOO_LATE)
        return payment, desk.pay(payment)

    async def test_it_is_given_back_after_the_end_of_its_sale(self, desk: Desk) -> None:
        payment, paid = await self.late(desk)
        old, found = await night(desk)
        # By the day of its order, which nobody compared at the time, and by that of its payment.
        assert (old.kind, old.repaired_at) == (Kind.STATUS, None)
        assert (found.kind, found.repaired_at is not None) == (Kind.STATUS, True)
        surplus = desk.services.surplus_payments
        await surplus.due.sweep(surplus.give_back)
        assert refunds(desk, paid) == [AMOUNT]
        assert await desk.surplus(payment) == [(paid.id, "late_payment")]
        assert (await desk.row(payment)).status is Status.FAILED

    @pytest.mark.parametrize("late_payments", ["hold"])
    async def test_it_waits_for_a_person_where_the_settings_say_so(self, desk: Desk) -> None:
        payment, paid = await self.late(desk)
        findings = await night(desk)
        # By the day of its order, and by that of its payment.
        assert {(each.kind, each.repaired_at) for each in findings} == {(Kind.STATUS, None)}
        assert (await desk.mismatches(payment), refunds(desk, paid)) == (["late_payment"], [])

    async def test_what_is_paid_here_and_not_there_is_left_to_a_person(self, desk: Desk) -> None:
        payment, paid = await desk.sold()
        del desk.gateway.payments[paid.id]
        order = desk.gateway.orders[str(payment.razorpay_order_id)]
        desk.gateway.orders[order.id] = replace(order, status="attempted", amount_paid=0)
        (finding,) = await night(desk)
        assert (finding.kind, finding.repaired_by) == (Kind.STATUS, None)
        assert (await desk.row(payment)).status is Status.SUCCESS


def test_with_the_sandbox_a_second_payment_of_an_older_order_goes_back(
    shop: Shop, user: Actor
) -> None:
    payment, checkout = user.buy(shop.sandbox)
    age(shop, payment, 10 * DAY)
    second = pay_twice(shop, payment)

    shop.work(make_nights, until_noon() + DAY)

    assert refunds_of(shop, second) == [(50_000, "processed")]
    assert refunds_of(shop, checkout["razorpay_payment_id"]) == []
    assert shop.surplus_states(payment) != []
