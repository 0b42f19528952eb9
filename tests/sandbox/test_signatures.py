"""The signatures are those of the vendor's documentation and of its SDK's tests."""

import pytest
import razorpay

from kernapay.sandbox.signing import sign, sign_checkout
from tests.sandbox.sandbox_process import KEY, SandboxProcess

DOCUMENTED_SECRET = "EnLs21M47BllR3X8PSFtjtbd"


@pytest.mark.parametrize(
    ("secret", "message", "digest"),
    [
        ("key_secret", "fake_order_id|fake_payment_id", "b2335e3b0801106b"),
        (DOCUMENTED_SECRET, "order_IEIaMR65cu6nz3|pay_IH4NVgf4Dreq1l", "0d4e745a1838664a"),
        (DOCUMENTED_SECRET, "pay_IDZNwZZFtnjyym|sub_ID6MOhgkcoHj9I", "601f383334975c71"),
        (
            DOCUMENTED_SECRET,
            "plink_IH3cNucfVEgV68|TSsd1989|paid|pay_IH3d0ara9bSsjQ",
            "07ae18789e35093e",
        ),
    ],
)
def test_a_signature_equals_the_published_one(secret: str, message: str, digest: str) -> None:
    assert sign(secret, message.encode()).startswith(digest)


def test_a_checkout_signature_covers_order_and_payment_in_that_order() -> None:
    signature = sign_checkout("key_secret", "fake_order_id", "fake_payment_id")
    assert signature.startswith("b2335e3b0801106b")


def test_the_sdk_accepts_checkouts_signature_for_its_own_order_only(
    sandbox: SandboxProcess,
) -> None:
    utility = razorpay.Client(auth=KEY).utility
    response, other = sandbox.pay(sandbox.create_order()), sandbox.pay(sandbox.create_order())
    assert utility.verify_payment_signature(response)
    with pytest.raises(razorpay.errors.SignatureVerificationError):
        utility.verify_payment_signature(
            {**response, "razorpay_order_id": other["razorpay_order_id"]}
        )
