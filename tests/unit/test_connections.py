"""How many connections and live streams a worker may have, by the limit for open files."""

import pytest

from kernapay.core.limits import most_connections, most_streams


@pytest.mark.parametrize(
    ("wanted", "open_files", "connections", "streams"),
    [
        (5000, 65_536, 9096, 5000),
        (5000, 20_000, 9096, 5000),
        (5000, 16_384, 8192, 4096),
        (5000, 10_000, 5000, 2500),
        (5000, 1024, 512, 256),
        (5000, 64, 128, 64),
        (10, 1024, 512, 10),
        (30_000, 65_536, 32_768, 28_672),
    ],
)
def test_streams_leave_connections_to_others(
    wanted: int, open_files: int, connections: int, streams: int
) -> None:
    assert most_connections(wanted, open_files) == connections
    assert most_streams(wanted, open_files) == streams
    assert streams <= wanted
    assert connections - streams >= min(4096, connections // 2)
