"""Verify e-mail addresses and mobile numbers with one-time codes."""

from kernapay.core.errors import Conflict, NotFound
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.security.principal import Principal
from kernapay.users.contacts import to_e164
from kernapay.users.dtos import UserView
from kernapay.users.models import User
from kernapay.users.repository import UserRepository
from kernapay.users.service import view_of
from kernapay.verification import texts
from kernapay.verification.budget import CodeBudget
from kernapay.verification.codes import Codes, IssuedCode, WrongCode
from kernapay.verification.dtos import CodeSent
from kernapay.verification.models import Purpose


class AlreadyVerified(Conflict):
    """This e-mail address or mobile number is already verified."""

    code = "already_verified"


class Unreachable(Conflict):
    """The account has no number to which this service can send text messages."""

    code = "number_unreachable"


class VerificationService:
    def __init__(
        self,
        users: UserRepository,
        codes: Codes,
        budget: CodeBudget,
        outbox: Outbox,
        sender: str,
    ) -> None:
        self._users = users
        self._codes = codes
        self._budget = budget
        self._outbox = outbox
        self._sender = sender

    async def request_email(self, principal: Principal, client: str) -> CodeSent:
        """Send a code to the caller's address. `client` is the caller's network address.

        Raises NoProvider, AlreadyVerified, TooSoon, TooManyRequests.
        """
        self._outbox.require(Channel.EMAIL)
        user = await self._get_unverified(principal, Purpose.EMAIL)
        issued = await self._issue(Channel.EMAIL, Purpose.EMAIL, principal, user.email, client)
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
        return _code_sent(f"{name[:1]}…@{domain}", issued)

    async def request_mobile(self, principal: Principal, client: str) -> CodeSent:
        """Send a code to the caller's number. `client` is the caller's network address.

        Raises NoProvider, AlreadyVerified, Unreachable, TooSoon, TooManyRequests.
        """
        self._outbox.require(Channel.SMS)
        user = await self._get_unverified(principal, Purpose.MOBILE)
        number = _international_number(user)
        if number is None or not self._outbox.reaches(number):
            raise Unreachable(
                "This service cannot send text messages to the account's number. Change mobileNumber first."
            )
        issued = await self._issue(Channel.SMS, Purpose.MOBILE, principal, number, client)
        await self._outbox.post(
            Channel.SMS,
            "confirm_mobile",
            number,
            texts.confirm_mobile(self._sender, issued.code),
            expires_at=issued.expires_at,
            user_id=principal.id,
        )
        return _code_sent(f"{user.country_code}…{number[-3:]}", issued)

    async def confirm_email(self, principal: Principal, code: str) -> UserView:
        """Mark the caller's address as verified. Raises WrongCode, AlreadyVerified."""
        user = await self._get_unverified(principal, Purpose.EMAIL)
        await self._codes.redeem(Purpose.EMAIL, principal.id, user.email, code)
        return _view_if_unchanged(await self._users.verify_email(user))

    async def confirm_mobile(self, principal: Principal, code: str) -> UserView:
        """Mark the caller's number as verified. Raises WrongCode, AlreadyVerified.

        A code that was sent to an earlier number is wrong.
        """
        user = await self._get_unverified(principal, Purpose.MOBILE)
        number = _international_number(user) or ""
        await self._codes.redeem(Purpose.MOBILE, principal.id, number, code)
        return _view_if_unchanged(await self._users.verify_mobile(user))

    async def _issue(
        self, channel: Channel, purpose: Purpose, principal: Principal, to: str, client: str
    ) -> IssuedCode:
        # First, so that an impatient owner does not use up the budget.
        await self._codes.require_due(purpose, principal.id)
        await self._budget.spend(channel, to, client)
        return await self._codes.issue(purpose, principal.id, to)

    async def _get_unverified(self, principal: Principal, purpose: Purpose) -> User:
        user = await self._users.get_one_or_none(id=principal.id)
        if user is None:
            raise NotFound("This account no longer exists.")
        is_verified = (
            user.is_email_verified if purpose is Purpose.EMAIL else user.is_mobile_number_verified
        )
        if is_verified:
            # The process that verified it may have died before it evicted the profile.
            await self._users.evict(principal.id)
            raise AlreadyVerified("This e-mail address or mobile number is already verified.")
        return user


def _view_if_unchanged(user: User | None) -> UserView:
    if user is None:
        raise WrongCode(
            "The e-mail address or mobile number has changed. Request a new code.", field="code"
        )
    return view_of(user)


def _international_number(user: User) -> str | None:
    if user.mobile_number is None or user.country_code is None:
        return None
    return to_e164(user.country_code, user.mobile_number)


def _code_sent(to: str, issued: IssuedCode) -> CodeSent:
    return CodeSent("A code is on its way.", to, issued.expires_at, issued.resend_at)
