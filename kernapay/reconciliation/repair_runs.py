"""Repair findings one after another. A finding whose repair is refused stays open, and the others go on."""

from collections.abc import AsyncIterator, Iterable
from typing import Final

import structlog

from kernapay.core.errors import Conflict, KernaPayError, NotFound
from kernapay.gateway.base import (
    BalanceTooLow,
    GatewayMissing,
    GatewayRejected,
    GatewayTooOld,
    GatewayUnknown,
    GatewayUnreadable,
)
from kernapay.reconciliation.repairs import Repair, RepairService
from kernapay.security.principal import Actor

_log = structlog.get_logger("kernapay.reconciliation")
_REFUSALS: Final = (
    Conflict,
    NotFound,
    BalanceTooLow,
    GatewayMissing,
    GatewayRejected,
    GatewayTooOld,
    GatewayUnreadable,
)
_REFUSED: Final = 400


async def repair_each(
    repairs: RepairService,
    actor: Actor,
    report_id: str,
    finding_ids: Iterable[str],
    *,
    is_dry_run: bool = False,
) -> AsyncIterator[tuple[str, Repair]]:
    """Repair findings of a report. Yield the id and the outcome of each, also where the repair was refused.

    Raises Unavailable, and GatewayError if the gateway refuses our keys or does not answer.
    """
    for finding_id in finding_ids:
        try:
            done = await repairs.repair(actor, report_id, finding_id, is_dry_run=is_dry_run)
        except KernaPayError as error:
            if not _is_refusal(error):
                raise
            _log.warning("repair_refused", finding=finding_id, code=error.code)
            done = Repair(error.detail, is_repaired=False)
        yield finding_id, done


def _is_refusal(error: KernaPayError) -> bool:
    """Return whether this one repair was refused, so that another one may succeed."""
    if isinstance(error, GatewayUnknown) and error.http_status == _REFUSED:
        return True
    return isinstance(error, _REFUSALS)
