"""What the payment window calls. As at the real one, the key id alone opens it."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.body import read
from kernapay.sandbox.entities import Order, Payment
from kernapay.sandbox.errors import bad_request, not_applicable
from kernapay.sandbox.fields import Fields
from kernapay.sandbox.instruments import (
    BAD_VPA,
    BANKS,
    FAILURES,
    GOOD_VPA,
    METHODS,
    WALLETS,
    choose,
)
from kernapay.sandbox.money import check_amount, check_currency, display
from kernapay.sandbox.payments import ALREADY_PAID, declined_attempt
from kernapay.sandbox.rest.call import AnyRequest, answer

SHORTEST_OTP = 4


class Attempt(Struct, forbid_unknown_fields=True, kw_only=True):
    key_id: str
    method: str
    order_id: str | None = None
    amount: int | None = None
    currency: str | None = None
    contact: str | None = None
    email: str | None = None
    description: str | None = None
    notes: object = None
    card_number: str | None = None
    card_name: str | None = None
    vpa: str | None = None
    bank: str | None = None
    wallet: str | None = None


class Ending(Struct, forbid_unknown_fields=True, kw_only=True):
    key_id: str
    otp: str | None = None
    decline: bool = False


class CheckoutController(Controller):
    path = "/checkout"

    @get("/session")
    async def session(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Say what is to be paid; refuse an order that takes no payment any more."""
        query = Fields.of_query(request.scope["query_string"])
        owner = known_key(sandbox, query.text("key_id"))
        order_id, asked = query.text("order_id"), query.integer("amount")
        currency = query.text("currency") or "INR"
        query.done()
        if order_id is None:
            if asked is None:
                raise bad_request("The amount field is required.", "amount")
            check_currency(currency)
            check_amount(asked, currency, sandbox.config.max_amount)
            amount = asked
        else:
            order = find_order(sandbox, owner, order_id)
            amount, currency = order.amount_due, order.currency
            if order.partial_payment and asked is not None and 0 < asked < amount:
                amount = asked
        return answer(
            {
                "order_id": order_id,
                "amount": amount,
                "currency": currency,
                "display": display(amount, currency),
                "methods": METHODS,
                "banks": BANKS,
                "wallets": WALLETS,
            }
        )

    @post("/payments", status_code=200)
    async def start(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        attempt = await read(request, Attempt)
        owner = known_key(sandbox, attempt.key_id)
        order = find_order(sandbox, owner, attempt.order_id) if attempt.order_id else None
        instrument = choose(
            attempt.method,
            number=attempt.card_number,
            holder=attempt.card_name,
            vpa=attempt.vpa,
            bank=attempt.bank,
            wallet=attempt.wallet,
        )
        payment = sandbox.payments.start(
            owner,
            order,
            instrument,
            amount=attempt.amount,
            currency=attempt.currency,
            email=attempt.email,
            contact=attempt.contact,
            description=attempt.description,
            notes=Fields({"notes": attempt.notes}).notes(),
        )
        sandbox.payments.give_up_later(payment)
        return answer({"payment_id": payment.id, "next": next_step(payment)})

    @post("/payments/{payment_id:str}/finish", status_code=200)
    async def finish(
        self, request: AnyRequest, payment_id: FromPath[str], sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Answer what Checkout hands to the page: the three fields, or the error."""
        ending = await read(request, Ending)
        payment = sandbox.payments.get(known_key(sandbox, ending.key_id), payment_id)
        order = sandbox.books.orders.get(payment.order_id) if payment.order_id else None
        if payment.status != "created":
            raise bad_request("This payment has come to its end already.")
        if order is not None and order.status == "paid":
            return answer(sandbox.customer.decline(payment, FAILURES["payment_failed"]))
        if payment.declined_as is not None:
            return answer(sandbox.customer.decline(payment, payment.declined_as))
        if ending.decline:
            return answer(sandbox.customer.decline(payment))
        if next_step(payment) == "otp" and not right_otp(ending.otp):
            return answer(sandbox.customer.decline(payment, FAILURES["incorrect_otp"]))
        return answer(sandbox.customer.approve(payment))


def known_key(sandbox: Sandbox, key_id: str | None) -> str:
    if key_id not in sandbox.config.keys:
        raise not_applicable("The api key provided is invalid", sandbox.config.bad_key_status)
    return key_id or ""


def find_order(sandbox: Sandbox, owner: str, order_id: str) -> Order:
    order = sandbox.orders.get(owner, order_id)
    if order.status == "paid":
        raise declined_attempt(ALREADY_PAID, order)
    return order


def next_step(payment: Payment) -> str:
    """Return where the window goes: to the bank's code, to the bank's page, or nowhere."""
    if payment.method == "card":
        return "otp"
    return "done" if payment.vpa in {GOOD_VPA, BAD_VPA} else "bank"


def right_otp(otp: str | None) -> bool:
    return otp is not None and otp.isdecimal() and len(otp) >= SHORTEST_OTP
