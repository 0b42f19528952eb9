from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from kernapay.sandbox.account_entities import Offer
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import ControlError, check_choice
from kernapay.sandbox.ids import new_id
from kernapay.sandbox.instruments import METHODS
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.views import collection

# Razorpay: the customer pays less, gets money back later, or sees a price that is lowered already.
KINDS = ("instant", "cashback", "already_discounted")


class OfferCreate(Struct, forbid_unknown_fields=True, kw_only=True):
    """`amount` in minor units or `percent` from 1 to 99, for one method or all."""

    kind: str = "instant"
    amount: int | None = None
    percent: int | None = None
    method: str | None = None
    key_id: str | None = None


class OfferController(Controller):
    """Razorpay: offers are made at the dashboard."""

    path = "/_sandbox/offers"

    @get("/")
    async def list(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return json_response(collection(map(offer_view, sandbox.store.offers)))

    @post("/", status_code=200)
    async def create(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, OfferCreate)
        owner = body.key_id or sandbox.config.first_key
        check_choice("key_id", owner, sandbox.config.keys)
        check_choice("kind", body.kind, KINDS)
        if body.method is not None:
            check_choice("method", body.method, METHODS)
        if (body.amount is None) == (body.percent is None):
            raise ControlError("Name either amount or percent.", field="amount")
        if body.amount is not None and body.amount < 1:
            raise ControlError("amount must be at least 1, in minor units.", field="amount")
        if body.percent is not None and not 1 <= body.percent <= 99:
            raise ControlError("percent must be from 1 to 99.", field="percent")
        offer = Offer(
            id=new_id("offer"),
            owner=owner,
            created_at=sandbox.clock.timestamp(),
            kind=body.kind,
            amount=body.amount,
            percent=body.percent,
            method=body.method,
        )
        return json_response(offer_view(sandbox.store.offers.add(offer)))


def offer_view(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id,
        "key_id": offer.owner,
        "kind": offer.kind,
        "amount": offer.amount,
        "percent": offer.percent,
        "method": offer.method,
        "created_at": offer.created_at,
    }
