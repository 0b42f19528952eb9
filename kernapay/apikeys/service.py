"""Create and revoke API keys, and authenticate the holder of one."""

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
_USE_PRECISION: Final = timedelta(minutes=5)  # a write for every request would be too much


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
        self._last_uses: dict[str, datetime] = {}

    async def create(self, principal: Principal, data: ApiKeyCreate) -> ApiKeyCreated:
        """Create a key. Raises InvalidInput."""
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
        """Revoke a key. It no longer works when this returns. Raises NotFound."""
        row = await self._keys.get_one_or_none(id=key_id)
        if row is None:
            raise NotFound("There is no API key with this id.")
        if row.revoked_at is None:
            async with self._audit.action(principal, "api_key.revoke", _target(row)):
                await self._keys.revoke(row)
        else:
            # Writes nothing, but evicts the key again: the process that revoked it may have died before it could.
            await self._keys.revoke(row)
        return await self._view(key_id)

    async def authenticate(self, key: str) -> Principal:
        """Return the caller that the key stands for. Raises Unauthenticated."""
        digest = digest_of(key)
        grant = None if digest is None else await self._keys.grant(digest=digest)
        if grant is None:
            raise Unauthenticated("The API key is not valid, or was revoked.")
        if grant.expires_at is not None and grant.expires_at <= self._clock():
            raise Unauthenticated("The API key has expired. Ask an administrator for a new one.")
        account = await self._users.profile(user_id=grant.user_id)
        if account is None or account.status is not UserStatus.ACTIVE:
            raise Unauthenticated("The account of this API key is not active.")
        if not _may_act_as(account.type, grant.role):
            raise Unauthenticated("The account of this API key no longer has the role of the key.")
        last_use = self._last_uses.get(grant.id)
        if last_use is None or self._clock() - last_use >= _USE_PRECISION:
            self._background.start(grant.id, lambda: self._record_use(grant.id))
        return Principal(
            id=grant.user_id,
            role=grant.role,
            session_id=f"key:{grant.id}",
            is_email_verified=account.is_email_verified,
            is_mobile_verified=account.is_mobile_number_verified,
            key_id=grant.id,
        )

    async def _check(self, principal: Principal, user_id: str, data: ApiKeyCreate) -> None:
        account = await self._users.profile(user_id=user_id)
        if account is None or account.status is not UserStatus.ACTIVE:
            raise InvalidInput("There is no active account with this id.", field="userId")
        # Otherwise an administrator could act in the name of another one, even in the audit log.
        if account.type is Role.ADMIN and user_id != principal.id:
            raise InvalidInput(
                "Must not be another administrator: administrators create their own keys.",
                field="userId",
            )
        if not _may_act_as(account.type, data.role):
            raise InvalidInput(
                f"Must be {account.type.value}, the role of the account.", field="role"
            )
        expires_at = in_utc(data.expires_at, "expiresAt")
        if expires_at is not None and expires_at <= self._clock():
            raise InvalidInput("Must be in the future.", field="expiresAt")

    async def _record_use(self, key_id: str) -> None:
        at = self._clock()
        try:
            await self._keys.record_use(key_id, _USE_PRECISION)
        except Unavailable:
            _log.info("key_use_not_noted", key_id=key_id)  # the next request tries again
        else:
            self._last_uses[key_id] = at

    async def _view(self, key_id: str) -> ApiKeyView:
        view = await self._keys.select_one(ApiKeyView, id=key_id)
        if view is None:
            raise NotFound("There is no API key with this id.")
        return view


def _may_act_as(account_role: Role, key_role: Role) -> bool:
    """Return whether a key of the account may have this role: its own or, for an administrator, any."""
    return account_role in (key_role, Role.ADMIN)


def _target(key: ApiKey) -> str:
    return f"api_key:{key.pk}"
