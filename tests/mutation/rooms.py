"""The money rooms, the most important first, with the tests of each: quick ones before those that start a service.

Of a room that is pure, its own tests are enough: whoever changes it should hear of it there.
"""

from collections.abc import Mapping
from typing import Final

_LEDGER: Final = ("tests/unit/test_ledger.py", "tests/unit/test_stale_updates.py")
_SETTLING: Final = ("tests/money/test_settling.py",)
_GIVING_BACK: Final = ("tests/money/test_giving_back.py",)
_REPAIRS: Final = ("tests/money/test_repair_plans.py",)
_NIGHTS: Final = (
    *_REPAIRS,
    "tests/money/test_nightly_reports.py",
    "tests/money/test_comparison.py",
    "tests/money/test_reconciliation.py",
)
_REFUNDS: Final = (*_SETTLING, "tests/money/test_refunds.py", "tests/money/test_refusals.py")
_ORDERING: Final = ("tests/money/test_concurrency.py", "tests/api/test_create.py")
_DISPUTES: Final = ("tests/unit/test_dispute_news.py", "tests/money/test_entered_disputes.py")
_EVENTS: Final = ("tests/money/test_inbox.py", "tests/api/test_webhook.py")
_RECEIVING: Final = ("tests/money/test_received_events.py",)
_ENTERING: Final = ("tests/unit/test_settlement_feed.py", "tests/money/test_entered_payouts.py")
_BANK: Final = (
    *_ENTERING,
    "tests/money/test_settlements.py",
    "tests/money/test_unsettled.py",
)
_STORAGE: Final = "tests/unit/test_"

ROOMS: Final[Mapping[str, tuple[str, ...]]] = {
    "payments/matching.py": ("tests/unit/test_matching.py",),
    "payments/settlement.py": _SETTLING,
    "payments/ledger.py": (
        *_SETTLING,
        "tests/money/test_ledger_rows.py",
        "tests/unit/test_stale_updates.py",
        "tests/unit/test_durability.py",
    ),
    "payments/move_ledger.py": (*_LEDGER, *_SETTLING, "tests/unit/test_stale_updates.py"),
    "payments/changes.py": ("tests/unit/test_changes.py",),
    "payments/states.py": ("tests/unit/test_states.py",),
    "payments/returns.py": ("tests/unit/test_returns.py",),
    "payments/refund_checks.py": ("tests/unit/test_refund_checks.py",),
    "payments/refund_ledger.py": (*_LEDGER, *_SETTLING),
    "payments/refund_pipelines.py": ("tests/unit/test_ledger.py",),
    "payments/surplus.py": _GIVING_BACK,
    "payments/surplus_ledger.py": (*_GIVING_BACK, *_SETTLING, *_LEDGER),
    "payments/surplus_pipelines.py": (*_GIVING_BACK, *_LEDGER),
    "payments/surplus_refunds.py": _GIVING_BACK,
    "payments/lifetimes.py": ("tests/unit/test_lifetimes.py",),
    "payments/outcomes.py": ("tests/unit/test_outcomes.py",),
    "payments/refunds.py": _REFUNDS,
    "payments/refund_answers.py": _REFUNDS,
    "payments/refund_requests.py": _REFUNDS,
    "payments/ordering.py": _ORDERING,
    "payments/order_lookup.py": (*_SETTLING, "tests/money/test_shared_account.py"),
    "payments/payouts.py": _ENTERING,
    "payments/payout_ledger.py": _ENTERING,
    "payments/payout_pipeline.py": _ENTERING,
    "payments/disputes/deadlines.py": _DISPUTES,
    "payments/disputes/double_returns.py": _DISPUTES,
    "payments/disputes/news.py": ("tests/unit/test_dispute_news.py",),
    "payments/disputes/repository.py": _DISPUTES,
    "payments/disputes/service.py": _DISPUTES,
    "reconciliation/differences.py": ("tests/unit/test_differences.py",),
    "reconciliation/order_comparison.py": _REPAIRS,
    "reconciliation/comparison.py": _NIGHTS,
    "reconciliation/repairs.py": _REPAIRS,
    "reconciliation/checks.py": ("tests/console/test_story.py",),
    "reconciliation/resync.py": _NIGHTS,
    "reconciliation/dispute_comparison.py": (*_REPAIRS, "tests/money/test_disputes.py"),
    "reconciliation/guarding.py": _NIGHTS,
    "reconciliation/listing.py": _NIGHTS,
    "reconciliation/lost_payments.py": (*_NIGHTS, "tests/money/test_surplus.py"),
    "reconciliation/nightly_reports.py": _NIGHTS,
    "reconciliation/nightly_repairs.py": ("tests/money/test_nightly_repairs.py",),
    "reconciliation/open_findings.py": _NIGHTS,
    "reconciliation/pacing.py": _NIGHTS,
    "reconciliation/repair_runs.py": (*_REPAIRS, "tests/money/test_repairs.py"),
    "reconciliation/repair_steps.py": _REPAIRS,
    "reconciliation/repository.py": _NIGHTS,
    "reconciliation/restoring.py": ("tests/money/test_restore.py",),
    "reconciliation/service.py": _NIGHTS,
    "reconciliation/settled_rows.py": _BANK,
    "webhooks/dispute_events.py": (*_RECEIVING, *_EVENTS),
    "webhooks/guards.py": _EVENTS,
    "webhooks/repository.py": _RECEIVING,
    "webhooks/service.py": _RECEIVING,
    "settlements/reports.py": _BANK,
    "settlements/entering.py": _ENTERING,
    "settlements/exports.py": ("tests/money/test_finance_exports.py",),
    "settlements/feed.py": ("tests/unit/test_settlement_feed.py",),
    "settlements/repository.py": _BANK,
    "settlements/rows.py": _ENTERING,
    "settlements/service.py": _BANK,
    "storage/queue.py": (f"{_STORAGE}queue.py",),
    "storage/locks.py": (f"{_STORAGE}locks.py",),
    "storage/inserts.py": (f"{_STORAGE}inserts.py",),
    "storage/assignments.py": (f"{_STORAGE}assignments.py",),
    "storage/group_commit.py": (f"{_STORAGE}inserts.py", f"{_STORAGE}assignments.py"),
    "storage/lookups.py": (f"{_STORAGE}lookups.py",),
}
