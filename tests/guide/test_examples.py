"""The programs of the guide, run as they stand there."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kernapay.core.clock import now
from kernapay.deliveries.signing import new_secret
from kernapay.devstack.ports import free_port
from kernapay.security.principal import Role
from tests import node
from tests.actors import Actor
from tests.aliases import Json, Store, json_of
from tests.checkout import ROOT
from tests.deliveries.field import Field
from tests.house.scopes import new_holder
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Api, Sandbox, StartWorker
from tests.waiting import eventually

EXAMPLES = ROOT / "kernapay" / "docs" / "examples"


def flask(port: int) -> tuple[Sequence[str], dict[str, str]]:
    program = ("-m", "flask", "--app", str(EXAMPLES / "shop.py"), "run", "--port", str(port))
    return (sys.executable, *program), {}


def express(port: int) -> tuple[Sequence[str], dict[str, str]]:
    packages = [node.installed("express", "5.1.0"), node.installed("standardwebhooks", "1.0.0")]
    path = os.pathsep.join(map(str, packages))
    return ("node", str(EXAMPLES / "shop.cjs")), {"NODE_PATH": path, "PORT": str(port)}


@contextmanager
def running(command: Sequence[str], env: dict[str, str], folder: Path) -> Iterator[None]:
    with subprocess.Popen(command, env={**os.environ, **env}, cwd=folder) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.parametrize("name", ["shop.py", "shop.cjs"])
def test_the_page_shows_the_program_itself(name: str) -> None:
    assert f"{(EXAMPLES / name).read_text()}```" in (EXAMPLES.parent / "examples.md").read_text()


def test_the_page_of_plugins_shows_the_program_that_a_test_of_the_sandbox_runs() -> None:
    program = (EXAMPLES / "razorpay-sandbox.cjs").read_text()
    assert f"{program}```" in (EXAMPLES.parent / "plugins.md").read_text()


@pytest.mark.parametrize("program", [flask, express])
def test_an_order_is_paid_once_by_a_signed_event_of_the_right_amount(
    program: Callable[[int], tuple[Sequence[str], dict[str, str]]],
    store: Store,
    user: Actor,
    admin: Actor,
    api_server: Api,
    sandbox: Sandbox,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    port, secret = free_port(), new_secret()
    field = Field(store, now)
    field.clear()
    field.endpoint(f"http://127.0.0.1:{port}/kernapay", secret)
    sandbox.deliver_to(api_server.url)
    start_worker(DELIVERY_ALLOWED_HOSTS="127.0.0.1")
    command, env = program(port)
    env |= {
        "KERNAPAY_API": f"{api_server.url}/v1/api",
        "KERNAPAY_KEY": new_holder(admin, user, Role.USER, "payments:write").token,
        "KERNAPAY_SECRET": secret,
    }
    with (
        running([*command], env, tmp_path),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=NO_AUTHORITIES) as shop,
    ):

        def order() -> Json:
            return json_of(shop.get("/orders/7"))

        eventually(lambda: is_up(shop))
        links = {shop.post("/orders/7/pay").headers["location"] for _ in range(2)}
        assert len(links) == 1, "a double click"
        payment = user.seen(order()["reference"])
        assert order()["paid"] is False
        sandbox.pay(payment["razorpayOrderId"])
        eventually(lambda: order()["paid"])
        assert shop.post("/kernapay", json={"type": "payment.succeeded"}).status_code == 400
    field.clear()


def is_up(shop: httpx.Client) -> bool:
    try:
        return shop.get("/orders/7").status_code == 200
    except httpx.ConnectError:
        return False
