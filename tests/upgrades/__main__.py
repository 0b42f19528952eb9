"""Let an earlier version write data, once: `python -m tests.upgrades COMMIT`.

The service of that commit, its worker and its sandbox run with the releases of their time. The file that comes of it is
committed: the upgrade test does not need Git's history.
"""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
from bson import ObjectId

from kernapay.core.clock import now
from tests.actors import Actor, log_in, request_refund, send_event, status, verify
from tests.aliases import Json, Store
from tests.databases import open_store
from tests.environment import api_environment
from tests.factories import PASSWORD, gateway_payment, sign_up_body, unique
from tests.plain_http import NO_AUTHORITIES
from tests.servers import start_servers
from tests.stack import KEY_ID, KEY_SECRET, Sandbox
from tests.upgrades import dumps
from tests.upgrades.old_code import OldCode, install, unpack
from tests.waiting import eventually

_ROLES = {"asha": "USER", "doctor": "PROVIDER", "root": "ADMIN"}


def _open_accounts(client: httpx.Client, store: Store) -> dict[str, Actor]:
    actors = {}
    for name, role in _ROLES.items():
        body = sign_up_body(
            email=f"{name}@example.com", type="USER" if role == "ADMIN" else role, name=name.title()
        )
        answer = client.post("/v1/api/users/signup", json=body)
        assert answer.status_code == 201, answer.text
        # As `create-admin` does; its password would have to be typed.
        where = {"_id": ObjectId(answer.json()["_id"])}
        store.users.update_one(where, {"$set": {"type": role}})
        actors[name] = log_in(client, body["email"], PASSWORD)
    return actors


def _trade(client: httpx.Client, sandbox: Sandbox, actors: dict[str, Actor]) -> dict[str, Json]:
    """Make payments that end in every way, and return each by a name for its way."""
    asha, doctor, root = actors.values()

    def create() -> Json:
        return asha.new_payment(providerId=doctor.id, idempotencyKey=unique("key-"))

    def settled(payment: Json, wanted: str = "success") -> Json:
        eventually(lambda: status(client, payment)["status"] == wanted)
        return payment

    made = {"waiting": create()}
    made["verified"] = create()
    checkout = sandbox.pay(made["verified"]["orderId"])
    assert verify(client, made["verified"], checkout).status_code == 200
    made["told"] = create()
    sandbox.pay(made["told"]["orderId"])
    settled(made["told"])
    made["failed"] = create()
    sandbox.pay(made["failed"]["orderId"], "failure")
    settled(made["failed"], "failed")
    for name, amount in (("partly", 20_000), ("refunded", None)):
        made[name] = create()
        sandbox.pay(made[name]["orderId"])
        settled(made[name])
        answer = request_refund(root, made[name], amount)
        assert answer.status_code in (200, 201, 202), answer.text
    settled(made["refunded"], "refunded")
    # An event of an order that nobody here knows waits in the inbox.
    unknown = gateway_payment(f"order_{'0' * 14}")
    assert send_event(client, "payment.captured", payment=unknown).status_code == 200
    # Paid while the service could not be told.
    sandbox.clear()
    made["missed"] = create()
    sandbox.pay(made["missed"]["orderId"])
    return made


@click.command()
@click.argument("commit")
def main(commit: str) -> None:
    """Write the data of COMMIT to tests/upgrades/data."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        home, old = Path(folder), Path(folder) / "old"
        old.mkdir()
        unpack(commit, old)
        python = install(old)
        servers = stack.enter_context(start_servers(home / "servers"))
        url = servers.mongo.database_url("kernapay")
        store = stack.enter_context(open_store(url))
        data = home / "sandbox.sqlite"
        keys = {"SANDBOX_KEYS": f"{KEY_ID}:{KEY_SECRET}", "SANDBOX_DATA": str(data)}
        running = ExitStack()
        gateway = OldCode(old, python, keys).server(
            "sandbox", home, "kernapay.sandbox", "/_sandbox/health"
        )
        running.callback(gateway.process.stop)
        gateway.process.start()
        code = OldCode(old, python, api_environment(url, servers.redis.url, gateway.url, home))
        migrated = code.run("migrate", "up")
        assert migrated.returncode == 0, migrated.stdout + migrated.stderr
        api = code.server("api", home, "kernapay", "/health/live", "serve")
        worker = code.worker(home)
        with running:
            running.callback(worker.stop)
            running.callback(api.process.stop)
            worker.launch()
            api.process.start()
            client = running.enter_context(
                httpx.Client(base_url=api.url, trust_env=False, verify=NO_AUTHORITIES, timeout=20)
            )
            with Sandbox(gateway.url) as sandbox:
                sandbox.deliver_to(api.url)
                actors = _open_accounts(client, store)
                payments = _trade(client, sandbox, actors)
        newest = max(path.stem for path in (old / "migrations").glob("[0-9]*.py"))
        facts = dumps.Facts(
            commit=commit,
            at=now(),
            emails={name: actor.email for name, actor in actors.items()},
            payments=payments,
        )
        dumps.DATA.mkdir(exist_ok=True)
        path = dumps.DATA / f"{newest[:4]}-{commit[:7]}.zip"
        dumps.write(path, store, data, facts)
        click.echo(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
