"""The Express service that KernaPay replaces: what it wrote into its database and had at the gateway."""

import random
from datetime import UTC, datetime
from typing import Any

import bcrypt
from bson import ObjectId

from tests.aliases import Json, Store
from tests.stack import Sandbox

IMPORT = ("import.inserted", "import.noted")
"""Where a test kills an import."""


def hash_of(password: str) -> str:
    # xss-clean changes every `<` of a request.
    typed = password.replace("<", "&lt;").encode()
    return bcrypt.hashpw(typed, bcrypt.gensalt(4)).decode()


class ExpressService:
    """It stores rupees, doubles, ids as text, and statuses that prove nothing."""

    def __init__(self, db: Store, sandbox: Sandbox) -> None:
        self.db = db
        self.sandbox = sandbox
        self.db.payments.create_index("referenceId", name="referenceId_1", unique=True)

    def sign_up(self, email: str, password: str = "correct horse", **changes: Any) -> str:
        row = {
            "email": email,
            "age": None,
            "gender": None,
            "isEmailVerified": True,
            "isMobileNumberVerified": True,
            "countryCode": "+91",
            "mobileNumber": 9876543210.0,
            "password": hash_of(password),
            "name": "Asha &lt;Rao>",
            "refreshToken": "a.b.c",
            "type": "USER",
            "status": "ACTIVE",
            "__v": 0,
            **changes,
        }
        return str(self.db.users.insert_one(row).inserted_id)

    def buy(
        self, user_id: str, rupees: int = 500, outcome: str | None = None, **changes: Any
    ) -> Json:
        """Create a payment and its order, which the customer pays or fails to. Return the row."""
        milliseconds = int(datetime.now(UTC).timestamp() * 1000)
        order_id = self.sandbox.order(rupees * 100, f"receipt_{milliseconds}")["id"]
        paid = self.sandbox.pay(order_id, outcome) if outcome else {}
        at = datetime.now(UTC).replace(microsecond=0)
        row = {
            "_id": ObjectId(),
            "userId": user_id,
            "orderId": order_id,
            "razorpayOrderId": order_id,
            "providerId": "clinic-7",
            "amount": rupees,
            "currency": "INR",
            "status": "pending",
            "paymentMethod": "Payment Not Done",
            "paymentGateway": "razorpay",
            "razorpayPaymentId": paid.get("razorpay_payment_id"),
            "referenceId": f"PAY_{user_id}_{milliseconds}_{random.randrange(1000)}",
            "serviceType": "CONSULTATION",
            "notes": "A first visit &lt;b>",
            "idempotencyKey": f"order_{user_id}_{milliseconds}_{random.randrange(10**9)}",
            "history": [{"_id": ObjectId(), "status": "pending", "updatedAt": at}],
            "refundStatus": "not_requested",
            "createdAt": at,
            "updatedAt": at,
            "__v": 0,
            **changes,
        }
        self.db.payments.insert_one(row)
        return row
