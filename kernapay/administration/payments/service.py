"""Find payments by a reference, an id of the gateway, an e-mail address or a note."""

import re
from typing import Final

from bson import ObjectId

from kernapay.administration.payments.dtos import AdminPaymentView
from kernapay.administration.payments.repository import PaymentSearchRepository
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.payments.references import payment_id_of
from kernapay.users.contacts import find_email_forms
from kernapay.users.repository import UserRepository

# Banks' numbers differ, but all have digits and no blanks.
_UTR: Final = re.compile(r"(?=.*\d)[A-Za-z0-9]{8,40}")


class PaymentSearch:
    def __init__(
        self, payments: PaymentSearchRepository, users: UserRepository, *, production: bool
    ) -> None:
        self._payments = payments
        self._users = users
        self._production = production

    async def find(self, text: str) -> list[AdminPaymentView]:
        """Return the payments that a text names, newest first. If it names none, look for it in their notes."""
        text = text.strip()
        return await self._find_by_name(text) or await self._payments.by_note(text)

    async def _find_by_name(self, text: str) -> list[AdminPaymentView]:
        kind = text.partition("_")[0]
        if kind == "PAY":
            return await self._payments.by_reference(text)
        if kind == "order":
            return await self._payments.by_order(text)
        if kind == "pay":
            return await self._payments.by_gateway_payment(text)
        if kind == "rfnd":
            return await self._payments.by_refund(text)
        if kind == "disp":
            return await self._payments.by_dispute(text)
        if kind == "setl":
            return await self._payments.by_settlement(text)
        payment_id = payment_id_of(text)
        if payment_id is not None:
            return await self._payments.by_id(payment_id)
        if re.fullmatch(OBJECT_ID_PATTERN, text):
            return await self._payments.by_id(ObjectId(text))
        if "@" in text:
            forms = find_email_forms(text, production=self._production)
            user = await self._users.find_by_email(forms) if forms else None
            return await self._payments.of_user(user.pk) if user else []
        if _UTR.fullmatch(text):
            return await self._payments.by_utr(text)
        return []
