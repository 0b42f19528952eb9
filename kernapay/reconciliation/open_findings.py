"""The open findings of reconciliation, as a metric."""

from kernapay.core.metrics import GaugeMetricFamily
from kernapay.reconciliation.models import Kind
from kernapay.reconciliation.repository import FindingRepository


class OpenFindings:
    def __init__(self, findings: FindingRepository) -> None:
        self._findings = findings

    async def gauges(self) -> list[GaugeMetricFamily]:
        """Return the number of open findings by kind. Raises Unavailable."""
        counts = await self._findings.count_open()
        family = GaugeMetricFamily(
            "kernapay_open_findings",
            "Findings of all reports that are not repaired, by kind, 10,000 in all at most",
            labels=("kind",),
        )
        for kind in Kind:
            family.add_metric((kind.value,), counts[kind])
        return [family]
