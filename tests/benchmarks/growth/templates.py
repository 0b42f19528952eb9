"""One payment in each state, made by the service itself, as the templates of many."""

import httpx

from tests.actors import PAYMENTS, data_of, request_refund, send_event, verify
from tests.aliases import Json, json_of
from tests.benchmarks.api.material import Unexpected
from tests.benchmarks.api.stack import WEBHOOK_SECRET
from tests.benchmarks.growth.payments import Templates, order_body
from tests.benchmarks.growth.site import Site
from tests.databases import row_of
from tests.factories import failed_payment, unique
from tests.plain_http import NO_AUTHORITIES
from tests.stack import STRONG_KEY_ID, STRONG_KEY_SECRET


class _Shop:
    """Lets the payer buy from the provider."""

    def __init__(self, site: Site, gateway: httpx.Client) -> None:
        self._site = site
        self._gateway = gateway

    def buy(self) -> Json:
        body = {
            **order_body(unique("ORD-"), self._site.provider.id),
            "idempotencyKey": unique("key-"),
        }
        answer = self._site.payer.create(body)
        _require(answer, 201)
        return data_of(answer)

    def pay(self, payment: Json) -> Json:
        play = {"order_id": payment["orderId"], "method": "upi"}
        return _require(self._gateway.post("/_sandbox/pay", json=play), 200)

    def verified(self) -> Json:
        payment = self.buy()
        _require(verify(self._site.client, payment, self.pay(payment)), 200)
        return payment

    def paid_by_event(self) -> Json:
        payment = self.buy()
        paid = self.pay(payment)["razorpay_payment_id"]
        self._tell("payment.captured", _require(self._gateway.get(f"/v1/payments/{paid}"), 200))
        return payment

    def refunded(self) -> Json:
        payment = self.verified()
        _require(request_refund(self._site.admin, payment), 201)
        return payment

    def declined(self) -> Json:
        payment = self.buy()
        self._tell("payment.failed", failed_payment(payment["orderId"]))
        return payment

    def cancelled(self) -> Json:
        payment = self.buy()
        path = f"{PAYMENTS}/{payment['referenceId']}/cancel"
        _require(self._site.payer.call("POST", path), 200)
        return payment

    def _tell(self, event: str, entity: Json) -> None:
        _require(send_event(self._site.client, event, secret=WEBHOOK_SECRET, payment=entity), 200)


def make_templates(site: Site) -> Templates:
    """Let the service make one payment in each state, and return their rows. Raises Unexpected."""
    with httpx.Client(
        base_url=site.servers.sandbox.url,
        trust_env=False,
        auth=(STRONG_KEY_ID, STRONG_KEY_SECRET),
        verify=NO_AUTHORITIES,
    ) as gateway:
        shop = _Shop(site, gateway)
        return Templates(
            pending=_row(site, shop.buy(), "pending"),
            failed=_row(site, shop.declined(), "failed"),
            cancelled=_row(site, shop.cancelled(), "failed"),
            webhook=_row(site, shop.paid_by_event(), "success"),
            verified=_row(site, shop.verified(), "success"),
            refunded=_row(site, shop.refunded(), "refunded"),
        )


def _row(site: Site, payment: Json, status: str) -> Json:
    row = row_of(site.store.payments, referenceId=payment["referenceId"])
    if row["status"] != status:
        raise Unexpected(f"A payment that was to be {status} is {row['status']}.")
    return row


def _require(answer: httpx.Response, status: int) -> Json:
    if answer.status_code != status:
        raise Unexpected(f"{answer.status_code} instead of {status}: {answer.text[:500]}")
    return json_of(answer)
