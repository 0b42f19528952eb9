"""Vendure itself, with its Razorpay plugin, sells by the sandbox. Both come from the npm registry, unchanged."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

import kernapay
from tests import node
from tests.plain_http import NO_AUTHORITIES
from tests.sandbox.sandbox_process import KEY, SandboxProcess, free_port
from tests.sandbox.shop import Shop, ShopServer
from tests.waiting import eventually

# npm brings 200 MB at the first time.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

PRELOAD = Path(kernapay.__file__).parent / "docs" / "examples" / "razorpay-sandbox.cjs"
PRODUCTS = """\
name,slug,description,assets,facets,optionGroups,optionValues,sku,price,taxCategory,stockOnHand,trackInventory,variantAssets,variantFacets
Clay cup,clay-cup,A cup,,,,,CUP,499.00,standard,100,false,,
"""
# What the plugin needs and does not name: its `gql` of Vendure 1, and a compiler of its TypeScript.
BESIDE = (
    *("razorpay@2.9.8", "@vendure/core@3.7.3", "sql.js@1.17.0", "apollo-server-core@3.13.0"),
    *("ts-node@10.9.2", "typescript@5.9.3"),
)


class Vendure:
    """Both APIs of a running shop."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, verify=NO_AUTHORITIES
        )

    def close(self) -> None:
        self._client.close()

    def is_up(self) -> bool:
        try:
            return self._client.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, api: str, query: str, **variables: Any) -> Any:
        """Return the one field that the query asks for."""
        response = self._client.post(f"/{api}-api", json={"query": query, "variables": variables})
        body = response.json()
        assert "errors" not in body, body
        (field,) = body["data"].values()
        return field

    def order_cups(self, quantity: int) -> dict[str, Any]:
        """Put cups into the cart and go as far as the payment."""
        product = self.ask("shop", "{products{items{variants{id}}}}")["items"][0]
        self.ask(
            "shop",
            "mutation($id:ID!,$n:Int!){addItemToOrder(productVariantId:$id,quantity:$n){__typename}}",
            id=product["variants"][0]["id"],
            n=quantity,
        )
        customer = '{firstName:"Asha",lastName:"Rao",emailAddress:"asha@example.com"}'
        self.ask("shop", f"mutation{{setCustomerForOrder(input:{customer}){{__typename}}}}")
        address = '{streetLine1:"1 MG Road",countryCode:"IN"}'
        self.ask("shop", f"mutation{{setOrderShippingAddress(input:{address}){{__typename}}}}")
        (shipping,) = self.ask("shop", "{eligibleShippingMethods{id}}")
        self.ask(
            "shop",
            "mutation($id:ID!){setOrderShippingMethod(shippingMethodId:[$id]){__typename}}",
            id=shipping["id"],
        )
        order = self.ask(
            "shop",
            'mutation{transitionOrderToState(state:"ArrangingPayment")'
            "{...on Order{id state totalWithTax} ...on ErrorResult{message}}}",
        )
        assert order["state"] == "ArrangingPayment", order
        return dict(order)

    def create_razorpay_order(self, order: dict[str, Any]) -> str:
        result = self.ask(
            "shop",
            "mutation($id:ID!){generateRazorpayOrderId(orderId:$id)"
            "{...on RazorpayOrderIdSuccess{razorpayOrderId} ...on RazorpayOrderIdGenerationError{message}}}",
            id=order["id"],
        )
        return str(result["razorpayOrderId"])

    def add_payment(self, payment_id: str, signature: str) -> dict[str, Any]:
        return dict(
            self.ask(
                "shop",
                'mutation($m:JSON!){addPaymentToOrder(input:{method:"razorpay",metadata:$m})'
                "{...on Order{state payments{id state amount transactionId}}"
                " ...on PaymentDeclinedError{paymentErrorMessage} ...on ErrorResult{message}}}",
                m={"razorpayPaymentId": payment_id, "razorpaySignature": signature},
            )
        )

    def refund(self, payment_id: str, amount: int) -> dict[str, Any]:
        return dict(
            self.ask(
                "admin",
                "mutation($id:ID!,$n:Money!){refundOrder(input:"
                '{lines:[],shipping:0,adjustment:0,amount:$n,paymentId:$id,reason:"broken"})'
                "{...on Refund{state total transactionId} ...on ErrorResult{message}}}",
                id=payment_id,
                n=amount,
            )
        )


@pytest.fixture(scope="module")
def modules() -> Path:
    return node.installed("vendure-razorpay-plugin", "1.0.3", *BESIDE, seconds=600)


@pytest.fixture
def vendure(sandbox: SandboxProcess, modules: Path, tmp_path: Path) -> Iterator[Vendure]:
    products = tmp_path / "products.csv"
    products.write_text(PRODUCTS)
    port = free_port()
    program = Path(__file__).with_name("vendure_shop.cjs")
    environ = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(modules),
        "RAZORPAY_SANDBOX": sandbox.url,
        "KEY_ID": KEY[0],
        "KEY_SECRET": KEY[1],
        "VENDURE_DISABLE_TELEMETRY": "true",
    }
    log = tmp_path / "vendure.log"
    command = ["node", "--require", str(PRELOAD), str(program), str(port), str(products)]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environ, stdout=output, stderr=output) as process,
    ):
        vendure = Vendure(port)

        def is_open() -> bool:
            assert process.poll() is None, log.read_text()
            return "the shop is open" in log.read_text() and vendure.is_up()

        try:
            eventually(is_open)
            yield vendure
        finally:
            vendure.close()
            process.terminate()


def test_vendure_sells_by_the_sandboxs_checkout_and_refunds(
    sandbox: SandboxProcess, vendure: Vendure, browser: Browser, tmp_path: Path
) -> None:
    order = vendure.order_cups(2)
    assert order["totalWithTax"] == 117_764
    razorpay_order = vendure.create_razorpay_order(order)
    assert sandbox.fetch_order(razorpay_order)["amount"] == 117_764
    refused = vendure.add_payment("pay_KpSandbox00001", "00")
    assert refused["paymentErrorMessage"] == "SIGNATURE MISMATCH"

    page = browser.new_page()
    with ShopServer().running() as server:
        window = Shop(sandbox, server, page, tmp_path)
        window.open_order({"id": razorpay_order})
        window.pay_by_upi("failure@razorpay")
        window.wait_for_callback("failed")
        window.window.get_by_role("button", name="Try again").click()
        window.pay_by_upi("success@razorpay")
        response = window.wait_for_callback("paid")
    page.close()

    payment_id = response["razorpay_payment_id"]
    sold = vendure.add_payment(payment_id, response["razorpay_signature"])
    assert sold["state"] == "PaymentSettled", sold
    payment = sold["payments"][-1]
    assert (payment["state"], payment["transactionId"]) == ("Settled", payment_id)

    vendure.ask("admin", 'mutation{login(username:"superadmin",password:"superadmin"){__typename}}')
    part, rest = vendure.refund(payment["id"], 10_000), vendure.refund(payment["id"], 107_764)
    assert (part["state"], rest["state"]) == ("Settled", "Settled"), (part, rest)
    refunds = sandbox.call("GET", f"/v1/payments/{payment_id}/refunds")["items"]
    assert [(row["id"], row["amount"]) for row in refunds] == [
        (rest["transactionId"], 107_764),
        (part["transactionId"], 10_000),
    ]
    assert sandbox.fetch_payment(payment_id)["status"] == "refunded"
