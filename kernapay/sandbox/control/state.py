from typing import Any

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.faults import fault_view
from kernapay.sandbox.control.mailbox import message_view
from kernapay.sandbox.control.webhooks import delivery_view, endpoint_view
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.rest.call import AnyRequest, answer
from kernapay.sandbox.views import dispute_view, order_view, payment_view, refund_view

SHOWN = 30


class StateController(Controller):
    path = "/_sandbox"

    @get("/health")
    async def health(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return answer({"status": "ok", "keys": list(sandbox.config.keys)})

    @post("/reset", status_code=200)
    async def reset(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        """Drop everything but the keys and webhooks of the configuration."""
        sandbox.reset()
        return answer({"status": "ok"})

    @get("/snapshot")
    async def snapshot(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return answer(sandbox.books.snapshot())

    @put("/snapshot")
    async def restore(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        try:
            rows = msgspec.json.decode(await request.body(), type=dict[str, list[Any]])
            sandbox.books.restore(rows)
        except msgspec.DecodeError as problem:
            raise ControlError(f"Not a snapshot: {problem}") from None
        sandbox.resume()
        return answer({"status": "ok"})

    @get("/overview")
    async def overview(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        """What the control page shows."""
        books = sandbox.books
        return answer(
            {
                "now": sandbox.clock.now(),
                "frozen": sandbox.clock.frozen,
                "key_id": sandbox.config.first_key,
                "counts": {table.kind: len(table) for table in books.tables},
                "orders": [
                    {**order_view(order), "key_id": order.owner}
                    for order in books.orders.newest(SHOWN)
                ],
                "payments": [payment_view(p) for p in books.payments.newest(SHOWN)],
                "refunds": [refund_view(r) for r in books.refunds.newest(SHOWN)],
                "disputes": [dispute_view(d) for d in books.disputes.newest(SHOWN)],
                "deliveries": [delivery_view(d) for d in books.deliveries.newest(SHOWN)],
                "messages": [message_view(m) for m in books.messages.newest(SHOWN)],
                "webhooks": [endpoint_view(e) for e in books.endpoints],
                "faults": [fault_view(f) for f in books.faults],
            }
        )
