"""Decisions about verified contacts."""

from kernapay.core.errors import Conflict, NotFound
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.security.principal import Principal
from kernapay.users.contacts import international
from kernapay.users.dtos import UserView
from kernapay.users.models import User
from kernapay.users.repository import UserRepository
from kernapay.users.service import view_of
from kernapay.verification import texts
from kernapay.verification.codes import Codes, Issued, WrongCode
from kernapay.verification.dtos import CodeSent
from kernapay.verification.models import Purpose


class AlreadyVerified(Conflict):
    """This contact is verified already."""

    code = "already_verified"


class Unreachable(Conflict):
    """The text message provider does not serve the account's number, or there is none."""

    code = "number_unreachable"


class VerificationService:
    def __init__(self, users: UserRepository, codes: Codes, outbox: Outbox, sender: str) -> None:
        self._users = users
        self._codes = codes
        self._outbox = outbox
        self._sender = sender

    async def request_email(self, principal: Principal) -> CodeSent:
        """Send a code to the caller's address. Raises NoProvider, AlreadyVerified, TooSoon."""
        self._outbox.demand(Channel.EMAIL)
        user = await self._unverified(principal, Purpose.EMAIL)
        issued = await self._codes.issue(Purpose.EMAIL, principal.id, user.email)
        subject, text = texts.confirm_email(self._sender, issued.code)
        await self._outbox.post(
            Channel.EMAIL,
            "confirm_email",
            user.email,
            text,
            subject=subject,
            expires_at=issued.expires_at,
            user_id=principal.id,
        )
        name, _, domain = user.email.partition("@")
        return _sent(f"{name[:1]}…@{domain}", issued)

    async def request_mobile(self, principal: Principal) -> CodeSent:
        """Send a code to the caller's number. Raises NoProvider, AlreadyVerified, Unreachable, TooSoon."""
        self._outbox.demand(Channel.SMS)
        user = await self._unverified(principal, Purpose.MOBILE)
        number = _number(user)
        if number is None or not self._outbox.reaches(number):
            raise Unreachable("No text message can be sent to the number of this account.")
        issued = await self._codes.issue(Purpose.MOBILE, principal.id, number)
        await self._outbox.post(
            Channel.SMS,
            "confirm_mobile",
            number,
            texts.confirm_mobile(self._sender, issued.code),
            expires_at=issued.expires_at,
            user_id=principal.id,
        )
        return _sent(f"{user.country_code}…{number[-3:]}", issued)

    async def confirm_email(self, principal: Principal, code: str) -> UserView:
        """Raises WrongCode, AlreadyVerified."""
        user = await self._unverified(principal, Purpose.EMAIL)
        await self._codes.redeem(Purpose.EMAIL, principal.id, user.email, code)
        return _verified(await self._users.verify_email(user))

    async def confirm_mobile(self, principal: Principal, code: str) -> UserView:
        """Raises WrongCode, AlreadyVerified. A code sent to an earlier number is wrong."""
        user = await self._unverified(principal, Purpose.MOBILE)
        await self._codes.redeem(Purpose.MOBILE, principal.id, _number(user) or "", code)
        return _verified(await self._users.verify_mobile(user))

    async def _unverified(self, principal: Principal, purpose: Purpose) -> User:
        user = await self._users.get_one_or_none(id=principal.id)
        if user is None:
            raise NotFound("This account is gone.")
        done = (
            user.is_email_verified if purpose is Purpose.EMAIL else user.is_mobile_number_verified
        )
        if done:
            await self._users.confirm(principal.id)
            raise AlreadyVerified("This contact is verified already.")
        return user


def _verified(changed: User | None) -> UserView:
    if changed is None:
        raise WrongCode("The contact has changed: ask for a new code.", field="code")
    return view_of(changed)


def _number(user: User) -> str | None:
    if user.mobile_number is None or user.country_code is None:
        return None
    return international(user.country_code, user.mobile_number)


def _sent(to: str, issued: Issued) -> CodeSent:
    return CodeSent("A code is on its way.", to, issued.expires_at, issued.resend_at)
