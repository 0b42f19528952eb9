from typing import Any

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.faults import fault_view
from kernapay.sandbox.control.mailbox import message_view
from kernapay.sandbox.control.webhooks import delivery_view, endpoint_view
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.snapshots import add_secrets, take_snapshot
from kernapay.sandbox.views import (
    dispute_view,
    order_view,
    payment_view,
    refund_view,
    settlement_view,
)

MAX_ROWS_SHOWN = 30


class StateController(Controller):
    path = "/_sandbox"

    @get("/health")
    async def show_health(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response({"status": "ok", "keys": list(sandbox.config.keys)})

    @post("/reset", status_code=200)
    async def reset(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        sandbox.reset()
        return json_response({"status": "ok"})

    @get("/snapshot")
    async def show_snapshot(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response(take_snapshot(sandbox.store))

    @put("/snapshot")
    async def restore(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        try:
            snapshot = msgspec.json.decode(await request.body(), type=dict[str, list[Any]])
            sandbox.store.restore(add_secrets(snapshot, sandbox.store, sandbox.config))
        except msgspec.DecodeError as error:
            raise ControlError(
                f"The body is not a snapshot: {error}. Send what GET /_sandbox/snapshot returned."
            ) from None
        sandbox.resume()
        return json_response({"status": "ok"})

    @get("/overview")
    async def show_overview(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        """Return what the page at / shows."""
        store = sandbox.store
        return json_response(
            {
                "now": sandbox.clock.now(),
                "frozen": sandbox.clock.frozen,
                "key_id": sandbox.keyring.current(sandbox.config.first_key).id,
                "counts": {table.kind: len(table) for table in store.tables},
                "orders": [
                    {**order_view(order), "key_id": key_id_of(sandbox, order.owner)}
                    for order in store.orders.newest(MAX_ROWS_SHOWN)
                ],
                "payments": [payment_view(p) for p in store.payments.newest(MAX_ROWS_SHOWN)],
                "refunds": [refund_view(r) for r in store.refunds.newest(MAX_ROWS_SHOWN)],
                "disputes": [dispute_view(d) for d in store.disputes.newest(MAX_ROWS_SHOWN)],
                "settlements": [
                    {**settlement_view(s), "currency": "INR"}
                    for s in store.settlements.newest(MAX_ROWS_SHOWN)
                ],
                "deliveries": [delivery_view(d) for d in store.deliveries.newest(MAX_ROWS_SHOWN)],
                "messages": [message_view(m) for m in store.messages.newest(MAX_ROWS_SHOWN)],
                "webhooks": [endpoint_view(e) for e in store.endpoints],
                "faults": [fault_view(f) for f in store.faults],
            }
        )


def key_id_of(sandbox: Sandbox, owner: str) -> str:
    """Return the key id with which Checkout opens the account's orders now."""
    return sandbox.keyring.current(owner).id if owner in sandbox.config.keys else owner
