"""Two processes of one service, the clock of one of which is ten minutes off: nothing is done twice."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from kernapay.bootstrap.services import Services
from tests.actors import Actor
from tests.factories import unique
from tests.money.books import age
from tests.money.shop import LONG_AGO, Shop
from tests.stack import METRICS_TOKEN, PythonProcess, Server, bare_environment, end
from tests.waiting import eventually

ROUNDS = 6


class Machine:
    """A machine whose clock `drifts` by ten minutes at some moment."""

    def __init__(self, shop: Shop, home: Path, minutes: int, closing: ExitStack) -> None:
        self._file = home / "wrong"
        self._home = home
        self._env = {
            **shop.env,
            "METRICS_TOKEN": METRICS_TOKEN,
            "MINUTES": str(minutes),
            "WRONG_FROM": str(self._file),
        }
        self._closing = closing

    def drift(self) -> None:
        self._file.touch()

    def api(self) -> Server:
        server = Server("off", self._home, ["tests.wrong_clock", "api"], self._env, "/health/live")
        return self._closing.enter_context(server)

    def worker(self) -> PythonProcess:
        process = PythonProcess(
            "worker",
            self._home / "worker",
            (sys.executable, "-m", "tests.wrong_clock", "worker"),
            {**bare_environment(), **self._env},
            lambda: any("worker_started" in line for line in process.log_lines()),
        )
        self._closing.callback(end, process)
        return process


@pytest.fixture
def machine(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as closing:
        yield Machine(shop, tmp_path, request.param, closing)


@pytest.mark.parametrize("machine", [-10, 10], ids=["slow", "fast"], indirect=True)
def test_one_key_makes_one_order(machine: Machine, shop: Shop, user: Actor) -> None:
    off = machine.api()
    there = user.at(off.client)
    assert there.create().status_code == 201, "while its clock is right, it works"
    machine.drift()
    shop.sandbox.fault(
        "delay", times=None, route="/v1/orders", method="POST", options={"seconds": 1}
    )

    def create(key: str, actor: Actor) -> int:
        return actor.create(idempotencyKey=key).status_code

    keys = [unique("key-") for _ in range(ROUNDS)]
    with ThreadPoolExecutor(2 * ROUNDS) as pool:
        wrong = [pool.submit(create, key, there) for key in keys]
        right = [pool.submit(create, key, user) for key in keys]

    assert [each.result() for each in wrong] == [503] * ROUNDS
    assert [each.result() for each in right] == [201] * ROUNDS
    assert shop.sandbox.order_count() == 1 + ROUNDS
    assert off.client.get("/health/ready").status_code == 503


@pytest.mark.parametrize("machine", [10], ids=["fast"], indirect=True)
def test_a_worker_takes_no_row_be_it_held_or_due(machine: Machine, shop: Shop, user: Actor) -> None:
    process = machine.worker().start()
    machine.drift()
    held, due = (user.new_payment() for _ in range(2))
    for payment in (held, due):
        shop.sandbox.pay(payment["orderId"])
        age(shop, payment, timedelta(hours=1))

    async def hold(services: Services) -> None:
        queue = services.settlement.unpaid
        rows = await queue.claim(2)
        (other,) = (row for row in rows if row.reference_id == due["referenceId"])
        await services.payment_ledger.update_where({"id": other.pk}, set__check_at=LONG_AGO)

    shop.work(hold)

    eventually(lambda: any("schema_checked" in line for line in process.log_lines()))
    assert [shop.row(each)["status"] for each in (held, due)] == ["pending", "pending"]
    assert not any("payment_checked" in line for line in process.log_lines())
