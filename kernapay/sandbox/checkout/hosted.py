"""Pages of the sandbox that open Checkout: hosted Checkout, and those of payment links."""

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from kernapay.sandbox.account_entities import PaymentLink
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.checkout.assets import asset_response
from kernapay.sandbox.checkout.controller import require_key, require_unpaid_order
from kernapay.sandbox.errors import bad_request, unknown_id
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.money import format_amount
from kernapay.sandbox.payment_links import PAYABLE
from kernapay.sandbox.trusted_hosts import OPEN

# Forms may go to any shop, whose logo may come from any server.
POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src * data:; form-action *"
)
STATES: Final = {
    "created": "",
    "partially_paid": "A part is paid.",
    "paid": "This link is paid. Thank you.",
    "cancelled": "This link was cancelled.",
    "expired": "This link has expired.",
}
WEB: Final = ("http://", "https://")


class HostedController(Controller):
    opt = OPEN

    @post("/v1/checkout/embedded", status_code=200)
    async def show_checkout(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Open Checkout with the options of a shop's form. It posts the result to `callback_url`."""
        content_type = request.headers.get("content-type", "")
        fields = Fields.from_body(await request.body(), content_type)
        key = require_key(sandbox, fields.text("key_id"))
        order = require_unpaid_order(sandbox, key.owner, fields.require_text("order_id"))
        callback_url, cancel_url = read_url(fields, "callback_url"), read_url(fields, "cancel_url")
        if callback_url is None:
            raise bad_request("The callback_url field is required.", "callback_url")
        options = {
            "key": key.id,
            "order_id": order.id,
            "name": fields.text("name") or "Sandbox shop",
            "description": fields.text("description"),
            "image": fields.text("image"),
            "prefill": read_texts(fields, "prefill"),
            "notes": read_texts(fields, "notes"),
            "callback_url": callback_url,
            "redirect": True,
        }
        display = format_amount(order.amount_due, order.currency)
        return page_response(
            {
                "options": options,
                "display": display,
                "state": "",
                "payable": True,
                "opens_at_once": True,
                "cancel_url": cancel_url,
            }
        )

    @get("/l/{link_id:str}")
    async def show_link(
        self, link_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        link = require_link(sandbox, link_id)
        options = {
            "key": sandbox.keyring.current(link.owner).id,
            "order_id": link.order_id,
            "name": "Sandbox shop",
            "description": link.description,
            "prefill": link.customer,
        }
        due = link.amount if link.status == "paid" else link.amount - link.amount_paid
        return page_response(
            {
                "options": options,
                "display": format_amount(due, link.currency),
                "state": STATES[link.status],
                "payable": link.status in PAYABLE,
                "opens_at_once": False,
                "cancel_url": None,
            }
        )

    @get("/l/{link_id:str}/result")
    async def show_result(
        self, request: AnyRequest, link_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Return the signed address to which the customer goes after the payment, or none."""
        link = require_link(sandbox, link_id)
        payment_id = Fields.from_query(request.scope["query_string"]).require_text("payment_id")
        if all(payment.payment_id != payment_id for payment in link.payments):
            raise unknown_id()
        return json_response({"callback": callback_address(sandbox, link, payment_id)})


def callback_address(sandbox: Sandbox, link: PaymentLink, payment_id: str) -> str | None:
    if not link.callback_url:
        return None
    secret = sandbox.keyring.current(link.owner).secret
    parts = urlsplit(link.callback_url)
    fields = sandbox.payment_links.callback_fields(link, payment_id, secret)
    query = [*parse_qsl(parts.query, keep_blank_values=True), *fields.items()]
    return urlunsplit(parts._replace(query=urlencode(query)))


def require_link(sandbox: Sandbox, link_id: str) -> PaymentLink:
    link = sandbox.store.payment_links.get(link_id)
    if link is None or link.owner not in sandbox.config.keys:
        raise unknown_id()
    return link


def read_url(fields: Fields, name: str) -> str | None:
    url = fields.text(name)
    # An address of another scheme could carry a script.
    if url is not None and not url.startswith(WEB):
        raise bad_request(f"The {name} format is invalid.", name)
    return url


def read_texts(fields: Fields, name: str) -> dict[str, str]:
    inner = fields.object(name)
    return {
        key: value
        for key, value in (inner.rest() if inner else {}).items()
        if isinstance(value, str)
    }


def page_response(page: dict[str, Any]) -> Response[bytes]:
    response = asset_response("hosted.html", POLICY)
    # No text of a shop may end the element in which it stands.
    content = msgspec.json.encode(page).replace(b"<", b"\\u003c")
    response.content = response.content.replace(b'"__PAGE__"', content)
    return response
