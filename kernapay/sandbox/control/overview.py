from collections.abc import Callable
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.faults import fault_view
from kernapay.sandbox.control.mailbox import message_view
from kernapay.sandbox.control.requests import call_view
from kernapay.sandbox.control.webhooks import delivery_view, endpoint_view
from kernapay.sandbox.fields import MAX_SKIP, Fields
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.link_views import link_view
from kernapay.sandbox.money import NO_DECIMALS, THREE_DECIMALS
from kernapay.sandbox.overview import PAGE_SIZE, Search, page_of
from kernapay.sandbox.store import Table
from kernapay.sandbox.views import (
    View,
    dispute_view,
    downtime_view,
    order_view,
    payment_view,
    refund_view,
    settlement_view,
)

# Razorpay's decimals of each currency that has not two. Browsers know others for some of them.
DECIMALS = {**dict.fromkeys(sorted(NO_DECIMALS), 0), **dict.fromkeys(sorted(THREE_DECIMALS), 3)}


class OverviewController(Controller):
    path = "/_sandbox/overview"

    @get("/")
    async def show(self, request: AnyRequest, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        """Return what the page at / shows. `q` searches; `orders_skip` and the like turn the pages."""
        query = Fields.from_query(request.scope["query_string"])
        search = Search(sandbox.store, query.text("q") or "")
        rows: dict[str, list[View]] = {}
        totals: dict[str, int] = {}
        for name, (table, view) in tables_of(sandbox).items():
            found = search.rows(table) if search else None
            rows[name], totals[name] = page_of(
                table.newest_first() if found is None else found,
                len(table) if found is None else len(found),
                skip_of(query, name),
                view,
            )
        calls = [call for call in sandbox.request_log if not search or search.finds_call(call)]
        rows["requests"], totals["requests"] = page_of(
            calls, len(calls), skip_of(query, "requests"), call_view
        )
        query.reject_unread()
        store = sandbox.store
        return json_response(
            {
                "now": sandbox.clock.now(),
                "frozen": sandbox.clock.frozen,
                "key_id": sandbox.keyring.current(sandbox.config.first_key).id,
                "decimals": DECIMALS,
                "page_size": PAGE_SIZE,
                "counts": {table.kind: len(table) for table in store.tables},
                "totals": totals,
                **rows,
                "webhooks": [endpoint_view(e) for e in store.endpoints],
                "faults": [fault_view(f) for f in store.faults],
                "downtimes": [downtime_view(d) for d in sandbox.downtimes.current()],
            }
        )


def skip_of(query: Fields, name: str) -> int:
    return min(MAX_SKIP, max(0, query.integer(f"{name}_skip") or 0))


def tables_of(sandbox: Sandbox) -> dict[str, tuple[Table[Any], Callable[[Any], View]]]:
    store = sandbox.store
    return {
        "orders": (
            store.orders,
            lambda o: {**order_view(o), "key_id": key_id_of(sandbox, o.owner)},
        ),
        "payments": (store.payments, payment_view),
        "refunds": (store.refunds, refund_view),
        "links": (store.payment_links, link_view),
        "disputes": (store.disputes, dispute_view),
        "settlements": (store.settlements, lambda s: {**settlement_view(s), "currency": "INR"}),
        "deliveries": (store.deliveries, delivery_view),
        "messages": (store.messages, message_view),
    }


def key_id_of(sandbox: Sandbox, owner: str) -> str:
    """Return the key id with which Checkout opens the account's orders now."""
    return sandbox.keyring.current(owner).id if owner in sandbox.config.keys else owner
