"""Check that an import with `--statuses-later` was followed by one that asks the gateway."""

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError


async def imports(services: Services, clock: Clock) -> list[Finding]:
    """Find imported payments that were never looked up at the gateway. Only an import does so, no worker."""
    try:
        services.mongo.connect()
        count = await services.imported_payments.count_unseen()
    except KernaPayError as error:
        detail = f"cannot be counted: {error.detail.rstrip('.')}"
        return [Finding(Level.WARN, "import", detail, "make MongoDB reachable.")]
    if not count:
        return []
    return [
        Finding(
            Level.WARN,
            "import",
            f"{count} imported payment(s) are shown as unpaid, paid or not: the gateway was not asked about them yet",
            "repeat kernapay import express, without --statuses-later and to its end. It lists those that cannot move.",
        )
    ]
