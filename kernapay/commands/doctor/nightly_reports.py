"""The check of the nightly reports: each business day must have a complete one."""

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError


async def nights(services: Services, clock: Clock) -> list[Finding]:
    try:
        services.mongo.connect()
        standing = await services.nightly_reports.standing()
    except KernaPayError as error:
        detail = f"cannot be counted: {error.detail.rstrip('.')}"
        return [Finding(Level.WARN, "nights", detail, "make MongoDB reachable.")]
    if standing.last_good is None:
        age = "no day has a complete report yet"
    else:
        hours = (clock() - standing.last_good).total_seconds() / 3600
        age = f"the last day with a complete report ended {hours:.0f} h ago"
    if not standing.missing:
        return [Finding(Level.OK, "nights", age)]
    first, last = standing.missing[0], standing.missing[-1]
    return [
        Finding(
            Level.WARN,
            "nights",
            f"{age}; {len(standing.missing)} without a report, from {first} to {last}",
            "keep a kernapay worker running: it makes the missing ones, the oldest first. GET "
            "/v1/api/reconciliation/reports says why one failed.",
        )
    ]
