"""The metrics of the cache. An entry is named by the beginning of its key, such as `user` or `payment_history`."""

from collections.abc import Sequence
from typing import Final

from kernapay.core.metrics import Counter, Tally, start_at_zero
from kernapay.storage.redis import Address

READS: Final = Counter(
    "kernapay_cache_reads_total",
    "Reads of the cache while Redis is up, by entry and outcome",
    ("entry", "outcome"),
)
FILLS: Final = Counter(
    "kernapay_cache_fills_total",
    "Values that were computed for the cache, by entry and outcome; lease_lost: evicted meanwhile",
    ("entry", "outcome"),
)
_FILL_OUTCOMES: Final = {1: "stored", 0: "too_large", -1: "lease_lost"}
_reads: Final = Tally(READS)
_fills: Final = Tally(FILLS)


def start_counting(prefix: str) -> None:
    """Let the counters of an entry exist at zero. `prefix` is how its keys begin."""
    entry = _entry_of(prefix)
    start_at_zero(READS, [entry], ["hit", "miss"])
    start_at_zero(FILLS, [entry], _FILL_OUTCOMES.values())


def count_reads(addresses: Sequence[Address], values: list[bytes | None]) -> list[bytes | None]:
    """Count a hit for each address with a value, and a miss for each without. Return the values."""
    counts = _reads.counts
    for (key, _), value in zip(addresses, values, strict=True):
        counts[key.partition(":")[0], "miss" if value is None else "hit"] += 1
    return values


def count_mark(key: str, is_marked: bool) -> bool:
    """Count the look-up of a mark: a hit if it is there. Return whether it is."""
    _reads.counts[_entry_of(key), "hit" if is_marked else "miss"] += 1
    return is_marked


def count_fill(key: str, value: bytes | None, reply: int) -> None:
    """Count what the script that stores a value replied. Without a value it only ends the lease."""
    if value is not None:
        _fills.counts[_entry_of(key), _FILL_OUTCOMES[reply]] += 1


def _entry_of(key: str) -> str:
    return key.partition(":")[0]
