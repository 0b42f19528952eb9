"""Payments and their documents."""

from datetime import timedelta
from functools import cached_property
from typing import Final

from kernapay.bootstrap.accounts import Accounts
from kernapay.config.addresses import checkout_script, payers_address
from kernapay.core.fair_share import FairShare
from kernapay.core.keys import derive_key
from kernapay.payments.buyers import Buyers
from kernapay.payments.checkout.links import CheckoutLinks
from kernapay.payments.checkout.repository import CheckoutRepository
from kernapay.payments.checkout.return_pages import ReturnPages
from kernapay.payments.checkout.service import CheckoutService, Merchant
from kernapay.payments.claims.repository import ClaimRepository
from kernapay.payments.claims.service import Claims
from kernapay.payments.disputes.deadlines import DisputeDeadlines
from kernapay.payments.disputes.repository import DisputeRepository
from kernapay.payments.disputes.service import DisputeService
from kernapay.payments.gateway_account import GatewayAccount
from kernapay.payments.imported.service import ImportedPayments
from kernapay.payments.insights.repository import InsightRepository
from kernapay.payments.insights.service import InsightService
from kernapay.payments.insights.sums.changes import InsightChanges
from kernapay.payments.insights.sums.holds.repository import HoldRepository
from kernapay.payments.insights.sums.keeper import InsightKeeper
from kernapay.payments.insights.sums.progress.repository import ProgressRepository
from kernapay.payments.insights.sums.reading.repository import InsightReader
from kernapay.payments.insights.sums.repository import InsightSumRepository
from kernapay.payments.ledger import PaymentLedger
from kernapay.payments.lifetimes import Lifetimes
from kernapay.payments.listing.repository import PaymentListRepository
from kernapay.payments.listing.service import PaymentLists
from kernapay.payments.merging.service import CustomerMerging
from kernapay.payments.ordering import Ordering
from kernapay.payments.payees import Payees
from kernapay.payments.payouts import PayoutService
from kernapay.payments.rebuilding import Rebuilding
from kernapay.payments.refunds import RefundService
from kernapay.payments.repository import PaymentRepository
from kernapay.payments.rules import PaymentRules
from kernapay.payments.service import PaymentService
from kernapay.payments.settlement import Settlement
from kernapay.payments.states import LatePayments
from kernapay.payments.surplus import SurplusPayments
from kernapay.storage.locks import Turn

# How long sums wait when the worker that keeps them dies.
_TURN: Final = timedelta(seconds=30)


class Payments(Accounts):
    @cached_property
    def lifetimes(self) -> Lifetimes:
        return Lifetimes(
            self.settings.reconcile_after,
            self.settings.payment_expiry,
            LatePayments(self.settings.late_payments),
        )

    @cached_property
    def payment_repository(self) -> PaymentRepository:
        return PaymentRepository(self.mongo, self.cache, self._clock, self.settings.receipt_prefix)

    @cached_property
    def payment_lists(self) -> PaymentLists:
        rows = PaymentListRepository(self.mongo, self.payment_repository, self._clock)
        return PaymentLists(rows, self.business_days, self.totals_share)

    @cached_property
    def insight_service(self) -> InsightService:
        return InsightService(
            self.insight_reader, self.payees, self.business_days, self.totals_share
        )

    @cached_property
    def insight_repository(self) -> InsightRepository:
        return InsightRepository(self.mongo, self._clock)

    @cached_property
    def insight_holds(self) -> HoldRepository:
        return HoldRepository(self.mongo, self.insight_repository, self._clock)

    @cached_property
    def insight_reader(self) -> InsightReader:
        return InsightReader(self.mongo, self.insight_repository, self.insight_holds)

    @cached_property
    def insight_sums(self) -> InsightSumRepository:
        return InsightSumRepository(
            self.mongo, self.insight_repository, self.insight_holds, self._clock
        )

    @cached_property
    def insight_changes(self) -> InsightChanges:
        return InsightChanges(self.insight_sums, self.insight_holds)

    @cached_property
    def insight_keeper(self) -> InsightKeeper:
        return InsightKeeper(
            self.insight_sums,
            self.insight_reader,
            self.insight_repository,
            ProgressRepository(self.mongo, self._clock),
            self.business_days,
            self._clock,
            turn=Turn(self.mongo, "insights", _TURN),
        )

    @cached_property
    def totals_share(self) -> FairShare:
        # What is added up reads much: let it leave most threads of the database to the others.
        return FairShare(per_subject=1, total=2, in_flight=4, patience=10)

    @cached_property
    def payment_ledger(self) -> PaymentLedger:
        return PaymentLedger(
            self.mongo, self.payment_repository, self.lifetimes, self.payment_signals
        )

    @cached_property
    def gateway_share(self) -> FairShare:
        settings = self.settings
        return FairShare(
            # However slow the gateway is, one account leaves most threads to the others.
            per_subject=max(1, settings.gateway_threads // 4),
            in_flight=settings.creates_per_account,
            # With a gateway that does not answer, the last in the queue would wait for all others, one after another.
            patience=settings.razorpay_timeout.total_seconds(),
        )

    @cached_property
    def ordering(self) -> Ordering:
        return Ordering(
            self.payment_ledger,
            self.payment_gateway,
            self.settings.razorpay_timeout,
            self.gateway_share,
            self._clock,
        )

    @cached_property
    def imported_payments(self) -> ImportedPayments:
        return ImportedPayments(
            self.payment_ledger,
            self.settlement,
            self.payees,
            self.insight_changes,
            self.settings.payment_expiry,
            self._clock,
        )

    @cached_property
    def rebuilding(self) -> Rebuilding:
        return Rebuilding(
            self.payment_ledger, self.customer_repository.restore, live=self.settings.is_live
        )

    @cached_property
    def settlement(self) -> Settlement:
        return Settlement(
            self.payment_repository,
            self.payment_ledger,
            self.surplus_payments,
            self.payment_gateway,
            self.lifetimes,
            self.gateway_share,
            self._clock,
        )

    @cached_property
    def surplus_payments(self) -> SurplusPayments:
        return SurplusPayments(self.payment_ledger, self.payment_gateway)

    @cached_property
    def payout_service(self) -> PayoutService:
        return PayoutService(self.payment_repository, self.payment_ledger)

    @cached_property
    def payees(self) -> Payees:
        return Payees(self.user_repository.provider_standing)

    @cached_property
    def buyers(self) -> Buyers:
        return Buyers(
            self.customer_service,
            self.payment_repository,
            [derive_key(secret, "customers") for secret in self.settings.jwt_secrets],
            self.settings.unpaid_per_customer,
        )

    @cached_property
    def customer_merging(self) -> CustomerMerging:
        return CustomerMerging(
            self.customer_service, self.customer_repository, self.payment_ledger, self.audit_log
        )

    @cached_property
    def claim_repository(self) -> ClaimRepository:
        return ClaimRepository(self.mongo, self._clock)

    @cached_property
    def claim_service(self) -> Claims:
        return Claims(
            self.claim_repository,
            self.customer_service,
            self.customer_repository,
            self.payment_repository,
            self.user_repository.verified_email,
            self.audit_log,
        )

    @cached_property
    def checkout_service(self) -> CheckoutService:
        settings = self.settings
        return CheckoutService(
            CheckoutRepository(self.mongo, self._clock),
            CheckoutLinks(payers_address(settings), settings.jwt_secrets),
            ReturnPages(self.api_key_repository.checkout_origins),
            self.customer_repository.prefill,
            Merchant(settings.razorpay_key_id, settings.merchant_name, checkout_script(settings)),
        )

    @cached_property
    def payment_service(self) -> PaymentService:
        settings = self.settings
        return PaymentService(
            self.payment_repository,
            self.ordering,
            self.settlement,
            PaymentRules(
                settings.currencies,
                settings.max_amount,
                settings.service_types,
                settings.notes_limit,
            ),
            self.payees,
            self.buyers,
            self.checkout_service,
            self.audit_log,
            settings.checkout_secrets,
            self.gateway_share,
            self._clock,
            live=settings.is_live,
        )

    @cached_property
    def refund_service(self) -> RefundService:
        return RefundService(
            self.payment_repository,
            self.payment_ledger,
            self.settlement,
            self.payment_gateway,
            self.payees,
            self.audit_log,
            self.gateway_share,
            self.settings.razorpay_timeout,
            self.settings.refunds_per_payment,
            self.settings.console_refund_limit,
            self._clock,
        )

    @cached_property
    def gateway_account(self) -> GatewayAccount:
        return GatewayAccount(
            self.payment_repository,
            self.payment_gateway,
            live=self.settings.is_live,
        )

    @cached_property
    def dispute_repository(self) -> DisputeRepository:
        return DisputeRepository(self.mongo, self._clock)

    @cached_property
    def dispute_service(self) -> DisputeService:
        return DisputeService(
            self.payment_repository,
            self.dispute_repository,
            self.payment_ledger,
            self.settlement,
            self.payment_gateway,
            self._clock,
        )

    @cached_property
    def dispute_deadlines(self) -> DisputeDeadlines:
        return DisputeDeadlines(self.dispute_repository, self.payment_ledger, self._clock)
