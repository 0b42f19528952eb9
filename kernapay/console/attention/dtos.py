"""The answer about work that waits for a person."""

from typing import Annotated

from msgspec import Meta, Struct

from kernapay.core.clock import INSTANT_EXAMPLE, Instant

Count = Annotated[int, Meta(examples=[0])]


class Attention(Struct, rename="camel", kw_only=True):
    """What waits for a person now. Each is counted up to 10,000.

    `mismatches` are pieces of evidence whose money has no place yet, `findings` differences to the gateway's records
    that nobody has repaired, `parkedEvents` events of the gateway and `failedDeliveries` events to endpoints that were
    given up. `openDisputes` wait for evidence, the nearest deadline is `nextDeadline`.
    `lastGoodNight` is the end of the last business day with a complete report, `nightsMissing` how many days have none.
    """

    mismatches: Count
    findings: Count
    parked_events: Count
    failed_deliveries: Count
    open_disputes: Count
    next_deadline: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
    providers_to_approve: Count
    last_good_night: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
    nights_missing: Count
