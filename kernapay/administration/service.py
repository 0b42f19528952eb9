"""Manage the accounts of others, with an audit entry for each change."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bson import ObjectId
from msgspec import UNSET, UnsetType

from kernapay.administration.dtos import NewUser
from kernapay.administration.repository import AccountRepository
from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, InvalidInput
from kernapay.security.passwords import check_strength
from kernapay.security.principal import Principal, Role
from kernapay.sessions.repository import SessionRepository
from kernapay.users.dtos import SignUp, UserView
from kernapay.users.models import User, UserStatus
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


class AdministrationService:
    def __init__(
        self,
        repository: AccountRepository,
        accounts: UserService,
        sessions: SessionRepository,
        replace_password: Callable[[User, str], Awaitable[User]],
        audit: AuditLog,
    ) -> None:
        self._repository = repository
        self._accounts = accounts
        self._sessions = sessions
        self._replace_password = replace_password
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
        return await self._open(
            actor,
            SignUp(
                email=data.email,
                name=data.name,
                password=password,
                confirm_password=confirmation or "",
                mobile_number=data.mobile_number,
                country_code=data.country_code,
                type=data.type,
            ),
        )

    async def appoint(self, data: SignUp, *, promote: bool) -> tuple[UserView, bool]:
        """Open an ADMIN account from the command line. Return it, and whether it is new.

        With `promote`, an existing account becomes ADMIN and gets the password. A stranger may have signed up with
        the address, so the password is changed and every session ended first.

        Raises InvalidInput, EmailTaken, Conflict, ChangedMeanwhile.
        """
        user = await self._accounts.find_by_email(data.email) if promote else None
        if user is None:
            return await self._open(None, data), True
        check_strength(data.password, user.email, user.name)
        async with self._audit.action(None, "user.password", f"user:{user.pk}"):
            user = await self._replace_password(user, data.password)
        return await self._change(None, user, role=Role.ADMIN, status=UserStatus.ACTIVE), False

    async def set_status(self, actor: Principal, user_id: str, status: UserStatus) -> UserView:
        """Activate or deactivate an account, from its next request on. Ends its sessions.

        Raises NotFound, LastAdmin, ChangedMeanwhile.
        """
        view = await self._change(actor, await self._repository.get(id=user_id), status=status)
        # Also on activation: sessions from before the deactivation must not work again.
        await self._sessions.end(user_id)
        return view

    async def set_role(self, actor: Principal, user_id: str, role: Role) -> UserView:
        """Change the role of an account, from its next request on. Raises NotFound, LastAdmin, ChangedMeanwhile."""
        return await self._change(actor, await self._repository.get(id=user_id), role=role)

    async def set_approval(self, actor: Principal, user_id: str, *, approved: bool) -> UserView:
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

    async def _open(self, actor: Principal | None, data: SignUp) -> UserView:
        user_id = ObjectId()
        async with self._audit.action(
            actor, "user.create", f"user:{user_id}", after={"type": data.type.value}
        ):
            return await self._accounts.open_account(data, user_id)

    async def _change(
        self,
        actor: Principal | None,
        user: User,
        *,
        role: Role | UnsetType = UNSET,
        status: UserStatus | UnsetType = UNSET,
    ) -> UserView:
        role = user.type if role is UNSET else role
        status = user.status if status is UNSET else status
        if (role, status) == (user.type, user.status):
            # The process that made this change may have died before it evicted the profile.
            await self._repository.evict(str(user.pk))
            return view_of(user)
        async with AsyncExitStack() as stack:
            until = None
            if _is_active_admin(user.type, user.status) and not _is_active_admin(role, status):
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
                    before={"type": user.type.value, "status": user.status.value},
                    after={"type": role.value, "status": status.value},
                )
            )
            changed_user = await self._repository.change_standing(user, role, status, until)
            if changed_user is None:
                raise _changed_meanwhile()
        return view_of(changed_user)


def _changed_meanwhile() -> ChangedMeanwhile:
    return ChangedMeanwhile(
        "Another request changed the account at the same time. Read it and try again."
    )


def _is_active_admin(role: Role, status: UserStatus) -> bool:
    return (role, status) == (Role.ADMIN, UserStatus.ACTIVE)
