"""Open accounts and change profiles."""

from collections.abc import Collection

import msgspec
from bson import ObjectId
from msgspec import UNSET

from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.core.text import folded, normalise_name
from kernapay.security.attempts import FailedAttempts
from kernapay.security.passwords import (
    OPERATOR,
    PasswordHasher,
    check_strength,
    is_same_password,
)
from kernapay.security.principal import Principal
from kernapay.storage.repository import DuplicateRow
from kernapay.users.contacts import Phone, check_phone, email_forms, normalise_new_email
from kernapay.users.dtos import Account, ProfileUpdate, SignUp, UserView
from kernapay.users.models import User
from kernapay.users.repository import UserRepository


class EmailTaken(Conflict):
    """An account with this e-mail address already exists."""

    code = "email_taken"


class UserService:
    def __init__(
        self,
        users: UserRepository,
        passwords: PasswordHasher,
        taken_addresses: FailedAttempts,
        signup_types: Collection[str],
        *,
        production: bool,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._taken_addresses = taken_addresses
        self._signup_types = frozenset(signup_types)
        self._production = production

    async def sign_up(self, data: SignUp, client: str) -> UserView:
        """Open an account. Its type must be one of SIGNUP_TYPES. `client` is the caller's network address.

        Raises InvalidInput, EmailTaken, TooManyRequests.
        """
        if data.type not in self._signup_types:
            raise InvalidInput(
                f"Must be one of: {', '.join(sorted(self._signup_types))}.", field="type"
            )
        # EmailTaken tells a stranger who has an account, so a client gets few of them.
        async with self._taken_addresses.guard(client, EmailTaken):
            return await self.open(await self.draft(data, client=client))

    async def draft(
        self, data: Account, *, client: str = OPERATOR, is_email_verified: bool = False
    ) -> User:
        """Return a new account of any type, checked but not stored. Raises InvalidInput, EmailTaken."""
        if not is_same_password(data.password, data.confirm_password):
            raise InvalidInput("Must be the same as password.", field="confirmPassword")
        name = normalise_name(data.name)
        email = normalise_new_email(data.email, production=self._production)
        phone = _phone_of(data)
        check_strength(data.password, email, name)
        # Look before hashing, which is expensive. The unique index decides when two sign up at once.
        if await self.find_by_email(data.email) is not None:
            raise _email_taken()
        return User(
            id=ObjectId(),
            email=email,
            name=name,
            name_folded=folded(name),
            password=await self._passwords.hash(data.password, client),
            mobile_number=phone and phone.number,
            country_code=phone and phone.country_code,
            type=data.type,
            is_email_verified=is_email_verified,
        )

    async def open(self, draft: User) -> UserView:
        """Store a new account. Raises EmailTaken if somebody else has taken the address since it was drafted."""
        try:
            return view_of(await self._users.add(draft))
        except DuplicateRow:
            raise _email_taken() from None

    async def update(self, principal: Principal, data: ProfileUpdate) -> UserView:
        """Change the caller's profile. Raises InvalidInput, NotFound."""
        if (data.name, data.mobile_number, data.country_code) == (UNSET, UNSET, UNSET):
            raise InvalidInput(
                "Send at least one of: name, mobileNumber, countryCode.", field="body"
            )
        changed = await self._users.update_profile(
            principal.id,
            name=None if data.name is UNSET else normalise_name(data.name),
            phone=await self._new_phone(principal, data),
        )
        if changed is None:
            raise NotFound("This account no longer exists.")
        return view_of(changed)

    async def _new_phone(self, principal: Principal, data: ProfileUpdate) -> Phone | None:
        if data.mobile_number is UNSET and data.country_code is UNSET:
            return None
        user = await self._users.get(id=principal.id)
        country_code = user.country_code if data.country_code is UNSET else data.country_code
        number = user.mobile_number if data.mobile_number is UNSET else data.mobile_number
        phone = _check_complete(country_code, number)
        return None if phone == (user.country_code, user.mobile_number) else phone

    async def find_by_email(self, email: str) -> User | None:
        """Return the account with this address, or None. Raises InvalidInput if the address is not valid."""
        return await self._users.find_by_email(email_forms(email, production=self._production))


def _phone_of(data: Account) -> Phone | None:
    if data.country_code is None and data.mobile_number is None:
        return None
    return _check_complete(data.country_code, data.mobile_number)


def _check_complete(country_code: str | None, number: int | str | None) -> Phone:
    if country_code is None:
        raise InvalidInput("Must be sent together with mobileNumber.", field="countryCode")
    if number is None:
        raise InvalidInput("Must be sent together with countryCode.", field="mobileNumber")
    return check_phone(country_code, number)


def _email_taken() -> EmailTaken:
    return EmailTaken("An account with this e-mail address already exists.", field="email")


def view_of(user: User) -> UserView:
    row = user.to_mongo()
    return msgspec.convert({**row, "_id": str(user.pk)}, UserView)
