"""Manage the accounts of others, with an audit entry for each change."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from kernapay.administration.dtos import NewUser
from kernapay.administration.repository import AccountRepository
from kernapay.apikeys.service import ApiKeyService
from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.deliveries.endpoints.service import EndpointService
from kernapay.security.passwords import check_strength
from kernapay.security.principal import STAFF, Actor, Operator, Principal, Role
from kernapay.sessions.repository import SessionRepository
from kernapay.users.dtos import Account, SignUp, UserView
from kernapay.users.models import Standing, User, UserStatus
from kernapay.users.service import UserService, view_of


class LastAdmin(Conflict):
    """This account is the last active administrator."""

    code = "last_admin"
    title = "Last administrator"


class NotAProvider(Conflict):
    """Only PROVIDER accounts can be approved."""

    code = "not_a_provider"
    title = "Not a provider"


class ChangedMeanwhile(Conflict):
    """Another request changed the account at the same time."""

    code = "changed_meanwhile"
    title = "Changed by another request"


class AccountIsErased(Conflict):
    """The account was erased."""

    code = "account_erased"
    title = "Account erased"


class AddressNotVerified(Conflict):
    """The e-mail address of the account is not verified. ADMIN and LAB_ASSISTANT are only for verified addresses."""

    code = "address_not_verified"
    title = "Address not verified"


class AdministrationService:
    def __init__(
        self,
        repository: AccountRepository,
        accounts: UserService,
        sessions: SessionRepository,
        api_keys: ApiKeyService,
        endpoints: EndpointService,
        replace_password: Callable[[User, str], Awaitable[User]],
        remove_second_factor: Callable[[str], Awaitable[bool]],
        audit: AuditLog,
    ) -> None:
        self._repository = repository
        self._accounts = accounts
        self._sessions = sessions
        self._api_keys = api_keys
        self._endpoints = endpoints
        self._replace_password = replace_password
        self._remove_second_factor = remove_second_factor
        self._audit = audit

    async def create(self, actor: Principal, data: NewUser) -> UserView:
        """Open an account for somebody else. Raises InvalidInput, EmailTaken."""
        if data.type is Role.ADMIN:
            raise InvalidInput(
                "Must not be ADMIN. Create the account with another type, then change its role.",
                field="type",
            )
        password = data.password or secrets.token_urlsafe(32)
        confirmation = data.confirm_password if data.password else password
        sign_up = SignUp(
            email=data.email,
            name=data.name,
            password=password,
            confirm_password=confirmation or "",
            mobile_number=data.mobile_number,
            country_code=data.country_code,
            type=data.type,
        )
        return await self._open(actor, await self._accounts.draft(sign_up))

    async def appoint(
        self, actor: Operator, data: Account, *, promote: bool
    ) -> tuple[UserView, bool]:
        """Open an account for the operator, who vouches for the address. Return it, and whether it is new.

        With `promote`, an existing account gets the role and the password. A stranger may have signed up with the
        address, so the password is changed, the second factor removed, and every session and API key of the account
        ended first.

        Raises InvalidInput, EmailTaken, Conflict, ChangedMeanwhile.
        """
        user = await self._accounts.find_by_email(data.email) if promote else None
        if user is None:
            is_verified = data.type in STAFF
            draft = await self._accounts.draft(data, is_email_verified=is_verified)
            return await self._open(actor, draft), True
        check_strength(data.password, user.email, user.name)
        async with self._audit.action(actor, "user.password", f"user:{user.pk}"):
            user = await self._replace_password(user, data.password)
            # That of whoever had the account would lock its owner out.
            await self._remove_second_factor(str(user.pk))
            # Also where the account is an administrator already: whoever had it may have made keys.
            await self._api_keys.end_all(str(user.pk))
        standing = Standing(data.type, UserStatus.ACTIVE)
        return await self._change(actor, user, standing, verify_email=True), False

    async def verify_address(self, actor: Operator, email: str) -> UserView:
        """Mark the address of an account as verified: the operator vouches for it. Raises InvalidInput, NotFound."""
        user = await self._accounts.find_by_email(email)
        if user is None:
            raise NotFound("There is no account with this e-mail address.", field="email")
        return await self._change(actor, user, user.standing, verify_email=True)

    async def set_status(self, actor: Principal, user_id: str, status: UserStatus) -> UserView:
        """Activate or deactivate an account, from its next request on. Ends its sessions and API keys.

        Raises NotFound, LastAdmin, AddressNotVerified, ChangedMeanwhile.
        """
        user = await self._repository.get(id=user_id)
        return await self._change(actor, user, Standing(user.type, status))

    async def set_role(self, actor: Principal, user_id: str, role: Role) -> UserView:
        """Change the role of an account, from its next request on. A rise ends its sessions and API keys.

        Raises NotFound, LastAdmin, AddressNotVerified, ChangedMeanwhile.
        """
        user = await self._repository.get(id=user_id)
        return await self._change(actor, user, Standing(role, user.status))

    async def set_approval(self, actor: Actor, user_id: str, *, approved: bool) -> UserView:
        """Approve a PROVIDER account, so that it may move money, or end its approval.

        It counts from the next request on. Raises NotFound, NotAProvider, ChangedMeanwhile.
        """
        user = await self._repository.get(id=user_id)
        if approved and user.type is not Role.PROVIDER:
            raise NotAProvider(f"Only a PROVIDER can be approved. This account is {user.type}.")
        if approved is user.is_approved_provider:
            await self._repository.evict(user_id)
            return view_of(user)
        async with self._audit.action(
            actor,
            "user.approve" if approved else "user.revoke_approval",
            f"user:{user.pk}",
            before={"isApprovedProvider": not approved},
            after={"isApprovedProvider": approved},
        ):
            changed_user = await self._repository.change_approval(user, approved=approved)
            if changed_user is None:
                raise _changed_meanwhile()
        return view_of(changed_user)

    async def _open(self, actor: Actor, draft: User) -> UserView:
        async with self._audit.action(
            actor, "user.create", f"user:{draft.pk}", after={"type": draft.type.value}
        ):
            return await self._accounts.open(draft)

    async def _change(
        self, actor: Actor, user: User, new: Standing, *, verify_email: bool = False
    ) -> UserView:
        """Set the role and the approval of an account. Every caller changes a role this way."""
        if user.erased_at is not None:
            raise AccountIsErased("This account was erased. Nothing brings it back.")
        old = user.standing
        verify_email = verify_email and not user.is_email_verified
        if new == old and not verify_email:
            # The process that made this change may have died before it evicted the profile.
            await self._repository.evict(str(user.pk))
            return view_of(user)
        if _needs_verified_address(old, new) and not (user.is_email_verified or verify_email):
            raise AddressNotVerified(
                f"{new.role.value} is only for accounts with a verified e-mail address. Its owner verifies it with "
                "POST /v1/api/verification/email/request, or an operator with kernapay verify-email."
            )
        async with AsyncExitStack() as stack:
            until = None
            if old.is_active_admin and not new.is_active_admin:
                until = await stack.enter_async_context(self._repository.removing_admin())
                if not await self._repository.has_another_admin(user):
                    raise LastAdmin(
                        "This is the last active administrator. Make another account ADMIN first."
                    )
            await stack.enter_async_context(
                self._audit.action(
                    actor,
                    "user.change",
                    f"user:{user.pk}",
                    before=_facts(old, user.is_email_verified, verify_email),
                    after=_facts(new, True, verify_email),
                )
            )
            # Before the change too: if the process dies right after it, nothing old gets the new power.
            await self._end_access(user, old, new)
            changed_user = await self._repository.change_standing(
                user, *new, until, verify_email=verify_email
            )
            if changed_user is None:
                raise _changed_meanwhile()
            await self._end_access(user, old, new)
        return view_of(changed_user)

    async def _end_access(self, user: User, old: Standing, new: Standing) -> None:
        """End the sessions, API keys and endpoints that must not outlast the change."""
        user_id = str(user.pk)
        # On activation too: sessions from before the deactivation must not work again.
        if new.status is not old.status or new.role.is_above(old.role):
            await self._sessions.end(user_id)
        if new != old:
            await self._api_keys.end_with_change(user_id, old, new)
            await self._endpoints.end_with_change(user_id, new)


def _changed_meanwhile() -> ChangedMeanwhile:
    return ChangedMeanwhile(
        "Another request changed the account at the same time. Read it and try again."
    )


def _needs_verified_address(old: Standing, new: Standing) -> bool:
    """Return whether the change gives a role of staff, or activates an administrator."""
    gives_role = new.role in STAFF and new.role is not old.role
    return gives_role or (new.is_active_admin and not old.is_active_admin)


def _facts(standing: Standing, is_verified: bool, is_verifying: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": standing.role.value, "status": standing.status.value}
    return {**facts, "isEmailVerified": is_verified} if is_verifying else facts
