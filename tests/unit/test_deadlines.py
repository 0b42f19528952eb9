"""One deadline for a whole call to another service, whatever part of it is slow."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from time import monotonic

import boto3  # noqa: F401 - loaded here, since it takes longer than the deadline
import msgspec
import pytest

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import Unavailable
from kernapay.core.slots import Slots
from kernapay.files.s3 import S3Files
from kernapay.gateway.base import GatewayBusy, GatewayUnknown
from kernapay.gateway.razorpay import RazorpayGateway
from tests.drip_server import DripServer, Mode
from tests.waiting import until

pytestmark = pytest.mark.anyio
DEADLINE = 0.6
# As long as an answer in the slow modes takes, many times over.
ORDER = msgspec.json.encode(
    {"id": "order_1", "amount": 100, "currency": "INR", "status": "created", "filler": "x" * 500}
)


@pytest.fixture
def server() -> Iterator[DripServer]:
    with DripServer(ORDER) as server:
        yield server


@pytest.fixture
def pool() -> Iterator[Bulkhead]:
    pool = Bulkhead("files", threads=2)
    yield pool
    pool.close()


@pytest.fixture
def slots() -> Slots:
    return Slots("gateway", 2)


@pytest.fixture
async def gateway(server: DripServer, slots: Slots) -> AsyncIterator[RazorpayGateway]:
    gateway = RazorpayGateway("rzp_test_a", "b", base_url=server.url, timeout=DEADLINE, slots=slots)
    yield gateway
    await gateway.close()


@pytest.mark.parametrize("mode", ["body", "headers", "silence"])
async def test_a_slow_answer_ends_at_the_deadline_and_frees_its_slot(
    server: DripServer, gateway: RazorpayGateway, slots: Slots, mode: Mode
) -> None:
    server.mode = mode
    start = monotonic()
    with pytest.raises(GatewayUnknown):
        await gateway.fetch_order("order_1")
    assert DEADLINE * 0.9 < monotonic() - start < DEADLINE + 1
    assert slots.pending == 0


async def test_dripping_answers_hold_no_later_call(
    server: DripServer, gateway: RazorpayGateway, slots: Slots
) -> None:
    start = monotonic()
    slow = [asyncio.create_task(gateway.fetch_order("order_1")) for _ in range(8)]
    await until(lambda: server.requests == slots.size)
    server.mode = "well"
    order = None
    while order is None:
        try:
            order = await gateway.fetch_order("order_1")
        except GatewayUnknown:
            # Busy, or on a slow machine still waiting for a slot when its own deadline came.
            assert monotonic() - start < 2 * DEADLINE
    assert monotonic() - start < 3 * DEADLINE
    failures = await asyncio.gather(*slow, return_exceptions=True)
    assert any(isinstance(failure, GatewayUnknown) for failure in failures)


async def test_a_call_that_waits_until_its_deadline_is_refused_and_never_runs(
    server: DripServer, gateway: RazorpayGateway, slots: Slots
) -> None:
    """A request that ran later would be one that nobody waits for: an order bought, and not known."""
    server.mode = "silence"
    patient = RazorpayGateway(
        "rzp_test_a", "b", base_url=server.url, timeout=5 * DEADLINE, slots=slots
    )
    first = [asyncio.create_task(patient.fetch_order("order_1")) for _ in range(slots.size)]
    await until(lambda: server.requests == slots.size)
    start = monotonic()
    late = [asyncio.create_task(gateway.find_orders("KP_1")) for _ in range(5)]
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert monotonic() - start < DEADLINE + 1
    assert [type(outcome) for outcome in outcomes] == [GatewayBusy] * len(late)
    await asyncio.gather(*first, return_exceptions=True)
    assert slots.pending == 0
    await patient.close()
    assert server.requests == slots.size


async def test_a_call_whose_caller_gives_up_frees_its_slot_at_once(
    server: DripServer, slots: Slots
) -> None:
    gateway = RazorpayGateway("rzp_test_a", "b", base_url=server.url, timeout=60, slots=slots)
    call = asyncio.create_task(gateway.fetch_order("order_1"))
    await until(lambda: server.requests == 1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert slots.pending == 0
    await gateway.close()


async def test_a_connection_serves_the_next_call_under_its_own_deadline(
    server: DripServer, gateway: RazorpayGateway
) -> None:
    server.mode = "well"
    for _ in range(3):
        assert (await gateway.fetch_order("order_1")).id == "order_1"
        await asyncio.sleep(DEADLINE / 2)
    with server.being("body"), pytest.raises(GatewayUnknown):
        await gateway.fetch_order("order_1")
    assert (await gateway.fetch_order("order_1")).id == "order_1"


async def _makes_its_client(files: S3Files) -> bool:
    """Return whether the store has its client, which takes longer than the deadline on a busy machine."""
    try:
        await files.link("export-" + "0" * 32 + ".csv")
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("mode", ["body", "headers", "silence"])
async def test_a_file_store_that_drips_ends_at_the_deadline_too(
    server: DripServer, pool: Bulkhead, mode: Mode
) -> None:
    server.mode = mode
    files = S3Files(
        "bucket",
        region="ap-south-1",
        key_id="AKIATESTS",
        secret="s3-tests-5ab0c91d7e",
        endpoint=server.url,
        pool=pool,
        deadline=5 * DEADLINE,
    )
    await until(lambda: _makes_its_client(files))
    start = monotonic()
    with pytest.raises(Unavailable):
        await files.put("export-" + "0" * 32 + ".csv", io.BytesIO(b"a,b"))
    await until(lambda: pool.pending == 0)
    assert monotonic() - start < 5 * DEADLINE + 2
