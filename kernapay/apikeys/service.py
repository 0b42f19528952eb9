"""Create, adopt and revoke API keys, and authenticate the holder of one."""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import structlog
from bson import ObjectId
from msgspec import UNSET

from kernapay.apikeys.dtos import ApiKeyCreate, ApiKeyCreated, ApiKeyView
from kernapay.apikeys.models import ApiKey, EndReason
from kernapay.apikeys.repository import ApiKeyRepository
from kernapay.apikeys.tokens import digest_of, hint_of, new_key
from kernapay.audit.repository import AuditLog
from kernapay.config.hosts import is_loopback
from kernapay.config.origins import read_origin
from kernapay.core.background import Background
from kernapay.core.clock import Clock, in_utc, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated, Unavailable
from kernapay.core.text import normalise_name
from kernapay.security.principal import Principal, Role, Scope
from kernapay.users.models import Standing, UserStatus
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.apikeys")
_USE_PRECISION: Final = timedelta(minutes=5)  # a write for every request would be too much


class KeyEnded(Conflict):
    """The API key was revoked, and a revoked key stays revoked."""

    code = "key_revoked"


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

    async def create(self, actor: Principal, data: ApiKeyCreate) -> ApiKeyCreated:
        """Create a key. Raises InvalidInput, and KeyEnded if the account or its maker changed at the same time."""
        user_id = data.user_id or actor.id
        await self._check(actor, user_id, data)
        scopes = _scopes_of(data)
        key = new_key(live=self._live, is_scoped=scopes is not None)
        row = ApiKey(
            id=ObjectId(),
            name=normalise_name(data.name),
            digest=digest_of(key),
            hint=hint_of(key),
            user_id=user_id,
            role=data.role,
            scopes=scopes,
            checkout_origins=_origins_of(data),
            created_by=actor.id,
            expires_at=data.expires_at,
        )
        facts = {
            "name": row.name,
            "userId": user_id,
            "role": data.role.value,
            "scopes": scopes,
            "checkoutOrigins": row.checkout_origins,
        }
        async with self._audit.action(actor, "api_key.create", _target(row), after=facts):
            await self._keys.add(row)
            # Look again: whoever has changed the account since the check did not find the key.
            if not await self._is_founded(row):
                await self._keys.revoke(row, EndReason.ACCOUNT_CHANGED)
                raise KeyEnded("The account changed at the same time. Read it and try again.")
        return ApiKeyCreated(key, await self._view(str(row.pk)))

    async def revoke(self, actor: Principal, key_id: str) -> ApiKeyView:
        """Revoke a key. It no longer works when this returns. Raises NotFound."""
        row = await self._get(key_id)
        if row.revoked_at is None:
            async with self._audit.action(actor, "api_key.revoke", _target(row)):
                await self._keys.revoke(row, EndReason.REVOKED)
        else:
            # Writes nothing, but evicts the key again: the process that revoked it may have died before it could.
            await self._keys.revoke(row, EndReason.REVOKED)
        return await self._view(key_id)

    async def adopt(self, actor: Principal, key_id: str) -> ApiKeyView:
        """Vouch for a key, so that it outlasts its maker. Raises NotFound, KeyEnded."""
        row = await self._get(key_id)
        if row.revoked_at is not None:
            raise _key_ended()
        if actor.id != _id_of(row.adopted_by or row.created_by):
            before = {"adoptedBy": _id_of(row.adopted_by)}
            async with self._audit.action(
                actor, "api_key.adopt", _target(row), before=before, after={"adoptedBy": actor.id}
            ):
                if not await self._keys.adopt(row, actor.id):
                    raise _key_ended()
        return await self._view(key_id)

    async def end_all(self, user_id: str) -> None:
        """Revoke all keys of an account for good."""
        for key in await self._keys.live_of(user_id):
            await self._keys.revoke(key, EndReason.ACCOUNT_CHANGED)

    async def end_with_change(self, user_id: str, old: Standing, new: Standing) -> None:
        """Revoke the keys that are no longer allowed after an account's change.

        These are keys of the account, and keys for which it vouched. If the process dies before it has revoked a key,
        authentication refuses the key, and the account's next change revokes it.
        """
        is_fall = old.is_active and new.is_active and not new.role.is_above(old.role)
        for key in await self._keys.live_of(user_id):
            if not (is_fall and key.role is new.role):
                await self._keys.revoke(key, EndReason.ACCOUNT_CHANGED)
        made = await self._keys.live_made_by(user_id)
        adopted = await self._keys.live_adopted_by(user_id)
        for key in {key.pk: key for key in (*made, *adopted)}.values():
            vouchers = (key.created_by, key.adopted_by)
            others = {str(each) for each in vouchers if each is not None} - {user_id}
            if not await self._has_active_admin(others):
                await self._keys.revoke_unless_adopted(key)

    async def authenticate(self, key: str) -> Principal:
        """Return the caller that the key stands for. Raises Unauthenticated."""
        digest = digest_of(key)
        grant = None if digest is None else await self._keys.grant(digest=digest)
        if grant is None:
            raise Unauthenticated("The API key is not valid, or was revoked.")
        if grant.expires_at is not None and grant.expires_at <= self._clock():
            raise Unauthenticated("The API key has expired. Ask an administrator for a new one.")
        vouchers = {grant.created_by, grant.adopted_by or grant.created_by}
        # At once, so that the reads travel together.
        account, *admins = await asyncio.gather(
            *(self._users.profile(user_id=each) for each in (grant.user_id, *vouchers))
        )
        if account is None or account.status is not UserStatus.ACTIVE:
            raise Unauthenticated("The account of this API key is not active.")
        if not _may_act_as(account.type, grant.role):
            raise Unauthenticated("The account of this API key no longer has the role of the key.")
        if not any(
            admin and Standing(admin.type, admin.status).is_active_admin for admin in admins
        ):
            raise Unauthenticated(
                "The maker of this API key is no longer an administrator. An administrator may adopt it."
            )
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
            account_role=account.type,
            scopes=grant.scopes,
        )

    async def _is_founded(self, key: ApiKey) -> bool:
        """Return whether the account may have this key and its maker may make it, by MongoDB and not by the cache."""
        account = await self._users.get_one_or_none(id=key.user_id)
        return (
            account is not None
            and account.standing.is_active
            and _may_act_as(account.type, key.role)
            and await self._users.has_active_admin(str(key.created_by))
        )

    async def _has_active_admin(self, user_ids: set[str]) -> bool:
        for user_id in user_ids:
            if await self._users.has_active_admin(user_id):
                return True
        return False

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

    async def _get(self, key_id: str) -> ApiKey:
        row = await self._keys.get_one_or_none(id=key_id)
        if row is None:
            raise NotFound("There is no API key with this id.")
        return row

    async def _view(self, key_id: str) -> ApiKeyView:
        view = await self._keys.select_one(ApiKeyView, id=key_id)
        if view is None:
            raise NotFound("There is no API key with this id.")
        return view


def _may_act_as(account_role: Role, key_role: Role) -> bool:
    """Return whether a key of the account may have this role: its own or, for an administrator, any."""
    return account_role in (key_role, Role.ADMIN)


def _scopes_of(data: ApiKeyCreate) -> list[str] | None:
    """Return the scopes of a new key, each once and the least harmful first, or None if it is to have none."""
    if data.scopes is UNSET:
        return None
    return [scope.value for scope in Scope if scope in data.scopes]


def _origins_of(data: ApiKeyCreate) -> list[str]:
    """Return the origins of a new key's pages as browsers write them. Raises InvalidInput."""
    try:
        origins = {read_origin(each) for each in data.checkout_origins}
    except ValueError as error:
        text = str(error)
        raise InvalidInput(f"{text[0].upper()}{text[1:]}.", field="checkoutOrigins") from None
    for origin in origins:
        url = urlsplit(origin)
        if "*" in origin or url.scheme not in ("https", "http"):
            raise InvalidInput(
                "Must be origins of pages, without *, such as https://shop.example.",
                field="checkoutOrigins",
            )
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise InvalidInput(
                "Must be https:// origins: anyone on the way can change the pages of others.",
                field="checkoutOrigins",
            )
    return sorted(origins)


def _key_ended() -> KeyEnded:
    return KeyEnded("This API key was revoked. Create a new one.")


def _id_of(value: object) -> str | None:
    # MongoEngine leaves an ObjectId in what is declared as text.
    return None if value is None else str(value)


def _target(key: ApiKey) -> str:
    return f"api_key:{key.pk}"
