"""Decisions about API keys, and who a key stands for."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from bson import ObjectId

from kernapay.apikeys.dtos import ApiKeyCreate, ApiKeyCreated, ApiKeyView
from kernapay.apikeys.models import ApiKey
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.tokens import digest_of, hint_of, new_key
from kernapay.audit.repository import AuditLog
from kernapay.core.background import Background
from kernapay.core.clock import Clock, in_utc, now
from kernapay.core.errors import InvalidInput, NotFound, Unauthenticated, Unavailable
from kernapay.security.principal import Principal, Role
from kernapay.users.models import UserStatus
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.apikeys")
_PRECISION: Final = timedelta(minutes=5)


class ApiKeyService:
    def __init__(
        self,
        keys: ApiKeyRepository,
        users: UserRepository,
        audit: AuditLog,
        background: Background,
        clock: Clock = now,
        *,
        live: bool,
    ) -> None:
        self._keys = keys
        self._users = users
        self._audit = audit
        self._background = background
        self._clock = clock
        self._live = live
        self._noted: dict[str, datetime] = {}

    async def create(self, principal: Principal, data: ApiKeyCreate) -> ApiKeyCreated:
        """Make a key. Raises InvalidInput naming the field."""
        user_id = data.user_id or principal.id
        await self._check(principal, user_id, data)
        key = new_key(live=self._live)
        row = ApiKey(
            id=ObjectId(),
            name=data.name.strip(),
            digest=digest_of(key),
            hint=hint_of(key),
            user_id=user_id,
            role=data.role,
            created_by=principal.id,
            expires_at=data.expires_at,
        )
        facts = {"name": row.name, "userId": user_id, "role": data.role.value}
        async with self._audit.action(principal, "api_key.create", _target(row), after=facts):
            await self._keys.add(row)
        return ApiKeyCreated(key, await self._view(str(row.pk)))

    async def revoke(self, principal: Principal, key_id: str) -> ApiKeyView:
        """End a key; it is refused before this returns. Raises NotFound."""
        row = await self._keys.get_one_or_none(id=key_id)
        if row is None:
            raise NotFound("There is no such API key.")
        if row.revoked_at is None:
            async with self._audit.action(principal, "api_key.revoke", _target(row)):
                await self._keys.revoke(row)
        else:
            await self._keys.revoke(row)  # changes nothing, but evicts what a killed process left
        return await self._view(key_id)

    async def authenticate(self, key: str) -> Principal:
        """Say whom the key stands for now. Raises Unauthenticated."""
        digest = digest_of(key)
        grant = None if digest is None else await self._keys.grant(digest=digest)
        if grant is None:
            raise Unauthenticated("The API key is not valid.")
        if grant.expires_at is not None and grant.expires_at <= self._clock():
            raise Unauthenticated("The API key has expired.")
        account = await self._users.profile(user_id=grant.user_id)
        if account is None or account.status is not UserStatus.ACTIVE:
            raise Unauthenticated("The account of this API key is not active.")
        if not _may_act_as(account.type, grant.role):
            raise Unauthenticated("The account of this API key no longer has its role.")
        noted = self._noted.get(grant.id)
        if noted is None or self._clock() - noted >= _PRECISION:
            self._background.start(grant.id, lambda: self._note_use(grant.id))
        return Principal(
            id=grant.user_id,
            role=grant.role,
            session_id=f"key:{grant.id}",
            email_verified=account.is_email_verified,
            mobile_verified=account.is_mobile_number_verified,
            key_id=grant.id,
        )

    async def _check(self, principal: Principal, user_id: str, data: ApiKeyCreate) -> None:
        account = await self._users.profile(user_id=user_id)
        if account is None or account.status is not UserStatus.ACTIVE:
            raise InvalidInput("There is no active account with this id.", field="userId")
        # Or one administrator could act under the name of another, in the audit log too.
        if account.type is Role.ADMIN and user_id != principal.id:
            raise InvalidInput("Administrators make their own keys.", field="userId")
        if not _may_act_as(account.type, data.role):
            raise InvalidInput(f"This account can act as {account.type.value} only.", field="role")
        expires_at = in_utc(data.expires_at, "expiresAt")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidInput("Must lie in the future.", field="expiresAt")

    async def _note_use(self, key_id: str) -> None:
        at = self._clock()
        try:
            await self._keys.note_use(key_id, _PRECISION)
        except Unavailable:
            _log.info("key_use_not_noted", key_id=key_id)  # the next request tries again
        else:
            self._noted[key_id] = at

    async def _view(self, key_id: str) -> ApiKeyView:
        view = await self._keys.select_one(ApiKeyView, id=key_id)
        if view is None:
            raise NotFound("There is no such API key.")
        return view


def _may_act_as(type_: Role, role: Role) -> bool:
    """An administrator's key may be limited to less; no other account can lend a role it lacks."""
    return type_ in (role, Role.ADMIN)


def _target(key: ApiKey) -> str:
    return f"api_key:{key.pk}"
