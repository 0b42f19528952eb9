"""Reset forgotten passwords, with the same answer and the same work for known and unknown addresses."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from kernapay.core.clock import Clock, now
from kernapay.core.errors import InvalidInput, TooManyRequests
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.security.attempts import FailedAttempts, PasswordAttempts
from kernapay.security.passwords import check_strength, is_same_password
from kernapay.users.contacts import find_email_forms
from kernapay.users.models import User, UserStatus
from kernapay.users.repository import UserRepository
from kernapay.verification import texts
from kernapay.verification.budget import CodeBudget
from kernapay.verification.codes import Codes, WrongCode, wrong_code
from kernapay.verification.dtos import PasswordReset
from kernapay.verification.models import Purpose

_NOTICE_LIFETIME = timedelta(days=1)


class PasswordResetService:
    def __init__(
        self,
        users: UserRepository,
        codes: Codes,
        budget: CodeBudget,
        outbox: Outbox,
        hash_password: Callable[[str, str], Awaitable[str]],
        store_password: Callable[[User, str], Awaitable[object]],
        wrong_codes: FailedAttempts,
        attempts: PasswordAttempts,
        sender: str,
        clock: Clock = now,
        *,
        production: bool,
    ) -> None:
        self._users = users
        self._codes = codes
        self._budget = budget
        self._outbox = outbox
        self._hash_password = hash_password
        self._store_password = store_password
        self._wrong_codes = wrong_codes
        self._attempts = attempts
        self._sender = sender
        self._clock = clock
        self._production = production

    async def forgot(self, email: str, client: str) -> None:
        """Send a code if the address has an active account. `client` is the caller's network address.

        Raises NoProvider, TooManyRequests.
        """
        self._outbox.require(Channel.EMAIL)
        await self._budget.spend_client(client)
        address, user = await self._find_active(email)
        # What follows happens for an unknown address too, so that nobody can tell it from a known one. There is no
        # limit by destination beside that of the codes: strangers could use it up, and leave the owner without a code.
        try:
            await self._codes.require_due(Purpose.PASSWORD, address)
            await self._budget.spend_total(Channel.EMAIL, discard=user is None)
            issued = await self._codes.issue(Purpose.PASSWORD, address, address)
        except TooManyRequests:
            return
        subject, text = texts.reset_password(self._sender, issued.code)
        await self._outbox.post(
            Channel.EMAIL,
            "reset_password",
            address,
            text,
            subject=subject,
            expires_at=issued.expires_at,
            user_id=str(user.pk) if user else None,
            discard=user is None,
        )

    async def reset(self, data: PasswordReset, client: str) -> None:
        """Set a new password and end every session. `client` is the caller's network address.

        Wrong codes count per account and client, so that a stranger cannot use up the owner's attempts.

        Raises InvalidInput, WrongCode, TooManyRequests, Conflict.
        """
        if not is_same_password(data.password, data.confirm_password):
            raise InvalidInput("Must be the same as password.", field="confirmPassword")
        address, user = await self._find_active(data.email)
        # Before the code, and without the account's name: the answer must not reveal whether there is an account.
        check_strength(data.password, address, "")
        async with self._wrong_codes.guard(f"{address} {client}", WrongCode):
            code = await self._codes.check(Purpose.PASSWORD, address, address, data.code)
            if user is None:
                raise wrong_code()
        # The code is correct, so the answer may reveal the account. It is not spent yet: the caller may try again
        # with a better password.
        check_strength(data.password, address, user.name)
        # Hashing may be refused when it is busy, and the code must still be good for the repeat.
        password_hash = await self._hash_password(data.password, client)
        await self._codes.spend(code)
        await self._store_password(user, password_hash)
        await self._attempts.reset(address, client)
        subject, text = texts.password_changed(self._sender)
        await self._outbox.post(
            Channel.EMAIL,
            "password_changed",
            address,
            text,
            subject=subject,
            expires_at=self._clock() + _NOTICE_LIFETIME,
            user_id=str(user.pk),
        )

    async def _find_active(self, email: str) -> tuple[str, User | None]:
        """Return the address as the account stores it, and the account if it exists and is active."""
        forms = find_email_forms(email, production=self._production)
        if forms is None:
            return email.strip().lower(), None  # treated like any other unknown address
        user = await self._users.find_by_email(forms)
        address = forms.normal if user is None else user.email
        return address, user if user is not None and user.status is UserStatus.ACTIVE else None
