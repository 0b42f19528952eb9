"""Decisions about other people's accounts."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from bson import ObjectId
from msgspec import UNSET, UnsetType

from kernapay.administration.dtos import NewUser
from kernapay.administration.repository import RosterRepository
from kernapay.audit.repository import AuditLog
from kernapay.core.errors import Conflict, InvalidInput
from kernapay.security.passwords import check_strength
from kernapay.security.principal import Principal, Role
from kernapay.sessions.repository import SessionRepository
from kernapay.users.dtos import SignUp, UserView
from kernapay.users.models import User, UserStatus
from kernapay.users.service import UserService, view_of


class LastAdmin(Conflict):
    """Without this account there would be no active administrator."""

    code = "last_admin"
    title = "Last administrator"


class ChangedMeanwhile(Conflict):
    """Somebody else changed the account at the same time: look again."""

    code = "changed_meanwhile"
    title = "Changed meanwhile"


class AdministrationService:
    def __init__(
        self,
        roster: RosterRepository,
        accounts: UserService,
        sessions: SessionRepository,
        replace_password: Callable[[User, str], Awaitable[User]],
        audit: AuditLog,
    ) -> None:
        self._roster = roster
        self._accounts = accounts
        self._sessions = sessions
        self._replace_password = replace_password
        self._audit = audit

    async def create(self, actor: Principal, data: NewUser) -> UserView:
        """Open an account for somebody else. Raises InvalidInput naming the field, EmailTaken."""
        if data.type is Role.ADMIN:
            raise InvalidInput("Open the account first, then change its role.", field="type")
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
        """Open an ADMIN account from the command line, or with `promote` take one over; and whether it is new.

        Anybody may have signed up with the address: whoever did is out before the account is ADMIN.
        Raises InvalidInput naming the field, EmailTaken, Conflict, ChangedMeanwhile.
        """
        user = await self._accounts.find(data.email) if promote else None
        if user is None:
            return await self._open(None, data), True
        check_strength(data.password, user.email, user.name)
        async with self._audit.action(None, "user.password", f"user:{user.pk}"):
            user = await self._replace_password(user, data.password)
        return await self._change(None, user, role=Role.ADMIN, status=UserStatus.ACTIVE), False

    async def set_status(self, actor: Principal, user_id: str, status: UserStatus) -> UserView:
        """Let a person in or lock them out, from their next request on.

        Raises NotFound, LastAdmin, ChangedMeanwhile.
        """
        changed = await self._change(actor, await self._roster.get(id=user_id), status=status)
        # An account that comes back must not bring old devices along, so both ways.
        await self._sessions.end(user_id)
        return changed

    async def set_role(self, actor: Principal, user_id: str, role: Role) -> UserView:
        """Give a person another role, from their next request on. Raises NotFound, LastAdmin, ChangedMeanwhile."""
        return await self._change(actor, await self._roster.get(id=user_id), role=role)

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
        before = {"type": user.type.value, "status": user.status.value}
        asked = {"type": role, "status": status}
        after = {n: before[n] if value is UNSET else value.value for n, value in asked.items()}
        if before == after:
            # Whoever changed it may not have got as far as dropping the profile.
            await self._roster.profile.evict(user_id=str(user.pk))
            return view_of(user)
        async with AsyncExitStack() as stack:
            until = None
            if _is_active_admin(before) and not _is_active_admin(after):
                until = await stack.enter_async_context(self._roster.one_at_a_time())
                if not await self._roster.has_another_admin(user):
                    raise LastAdmin("Appoint another administrator first.")
            await stack.enter_async_context(
                self._audit.action(
                    actor, "user.change", f"user:{user.pk}", before=before, after=after
                )
            )
            changed = await self._roster.change_standing(
                user, until, **{f"set__{name}": value for name, value in after.items()}
            )
            if changed is None:
                raise ChangedMeanwhile("The account was changed by somebody else: look again.")
        return view_of(changed)


def _is_active_admin(standing: dict[str, Any]) -> bool:
    return standing == {"type": Role.ADMIN, "status": UserStatus.ACTIVE}
