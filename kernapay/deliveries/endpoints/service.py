"""Create, change and remove endpoints: those of a shop by itself, all by administrators."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from bson import ObjectId

from kernapay.audit.repository import AuditLog
from kernapay.core.clock import Clock, now
from kernapay.core.errors import Conflict, InvalidInput, NotFound
from kernapay.core.keys import Sealer
from kernapay.deliveries.addresses import AddressRules, Target
from kernapay.deliveries.catalogue import CATALOGUE
from kernapay.deliveries.drafts import VERSION
from kernapay.deliveries.endpoints.dtos import (
    EndpointChange,
    EndpointCreate,
    EndpointSecretShown,
    EndpointView,
    RotateRequest,
)
from kernapay.deliveries.endpoints.headers import check_headers
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.metrics import ACCOUNT_CHANGED, KEEPER_NOT_ADMIN, report_disabled
from kernapay.deliveries.models import Endpoint, EndpointSecret, EventType
from kernapay.deliveries.signing import new_secret
from kernapay.deliveries.transport import Transport
from kernapay.security.principal import Principal, Role
from kernapay.users.models import Standing
from kernapay.users.repository import UserRepository

# Each signs, and its signature is in the header.
_MOST_SECRETS: Final = 5
_SHOPS: Final = frozenset({Role.USER, Role.ADMIN})


class TooManyEndpoints(Conflict):
    """The account has as many endpoints as `ENDPOINTS_PER_ACCOUNT` allows."""

    code = "too_many_endpoints"
    title = "Too many endpoints"


class EndpointChanged(Conflict):
    """Another request changed the endpoint at the same time."""

    code = "endpoint_changed"
    title = "Changed by another request"


class TooManySecrets(Conflict):
    """So many earlier secrets still sign that another one would make the header too long."""

    code = "too_many_secrets"
    title = "Too many secrets"


def scope_of(actor: Principal) -> str | None:
    """Return the account whose endpoints the caller may see. Administrators see all: None."""
    return None if actor.is_admin else actor.id


class EndpointService:
    def __init__(
        self,
        endpoints: EndpointRepository,
        users: UserRepository,
        rules: AddressRules,
        transport: Transport,
        sealer: Sealer,
        audit: AuditLog,
        clock: Clock = now,
        *,
        most: int,
        overlap: timedelta,
        trusts_shops: bool,
    ) -> None:
        """`overlap` is how long a secret signs after a rotation.

        With `trusts_shops`, their endpoints may be at allowed hosts too.
        """
        self._endpoints = endpoints
        self._users = users
        self._rules = rules
        self._transport = transport
        self._sealer = sealer
        self._audit = audit
        self._clock = clock
        self._most = most
        self._overlap = overlap
        self._trusts_shops = trusts_shops

    async def create(self, actor: Principal, data: EndpointCreate) -> EndpointSecretShown:
        """Create an endpoint. Raises InvalidInput, TooManyEndpoints, EndpointChanged."""
        owner = scope_of(actor)
        check_headers(data.headers)
        _check_types(data.types, owner)
        target = await self._check_url(data.url, owner)
        await self._check_count(owner, self._most - 1)
        at = self._clock()
        secret = new_secret()
        row = Endpoint(
            id=ObjectId(),
            owner=owner,
            keeper=actor.id,
            url=target.url,
            description=data.description or None,
            headers=data.headers,
            types=data.types,
            service_types=data.service_types,
            providers=data.providers,
            version=VERSION,
            since=at,
            secrets=[EndpointSecret(sealed=self._sealer.seal(secret), at=at)],
        )
        name = str(row.pk)
        facts = {"owner": owner, "host": target.host, "types": [each.value for each in data.types]}
        async with self._audit.action(actor, "endpoint.create", _target(name), after=facts):
            await self._endpoints.add(row)
            # Look again: of several requests at once, each may have seen the last free place, and whoever has changed
            # the account since the caller was admitted did not find the endpoint.
            try:
                await self._check_count(owner, self._most)
                await self._check_account(actor)
            except Conflict:
                await self._endpoints.remove(name, owner)
                raise
        return EndpointSecretShown(secret, await self.view(actor, name))

    async def view(self, actor: Principal, endpoint_id: str) -> EndpointView:
        """Return an endpoint. Raises NotFound."""
        view = await self._endpoints.view(endpoint_id, scope_of(actor))
        if view is None:
            raise _not_found()
        return view

    async def change(
        self, actor: Principal, endpoint_id: str, data: EndpointChange
    ) -> EndpointView:
        """Change what is given. Raises NotFound, InvalidInput, EndpointChanged."""
        row = await self.find(actor, endpoint_id)
        values = await self._values_of(row, data)
        facts = {"changed": sorted(values)}
        async with self._acting(actor, "endpoint.change", endpoint_id, facts):
            if values and not await self._endpoints.change(row, **values):
                raise _endpoint_changed()
        return await self.view(actor, endpoint_id)

    async def remove(self, actor: Principal, endpoint_id: str) -> EndpointView:
        """Remove an endpoint, and return it as it was. Nothing is sent to it any more. Raises NotFound."""
        view = await self.view(actor, endpoint_id)
        async with self._acting(actor, "endpoint.remove", endpoint_id):
            if not await self._endpoints.remove(endpoint_id, scope_of(actor)):
                raise _not_found()
        return view

    async def rotate(
        self, actor: Principal, endpoint_id: str, data: RotateRequest
    ) -> EndpointSecretShown:
        """Replace the secret. Raises NotFound, TooManySecrets, EndpointChanged."""
        row = await self.find(actor, endpoint_id)
        at = self._clock()
        given = data.overlap_seconds
        until = at + (self._overlap if given is None else timedelta(seconds=given))
        secret = new_secret()
        secrets = [
            EndpointSecret(sealed=self._sealer.seal(secret), at=at),
            *_still_signing(row.secrets, at, until),
        ]
        if len(secrets) > _MOST_SECRETS:
            raise TooManySecrets(
                f"{_MOST_SECRETS} secrets sign at most. End the earlier ones with endPreviousSecret first."
            )
        async with self._acting(
            actor, "endpoint.rotate", endpoint_id, {"until": until.isoformat()}
        ):
            if not await self._endpoints.change(row, secrets=secrets):
                raise _endpoint_changed()
        return EndpointSecretShown(secret, await self.view(actor, endpoint_id))

    async def switch(self, actor: Principal, endpoint_id: str, *, on: bool) -> EndpointView:
        """Switch an endpoint on or off. Raises NotFound."""
        row = await self.find(actor, endpoint_id)
        if on:
            # The rules may have changed since it was stored.
            await self._check_url(row.url, row.owner)
        async with self._acting(
            actor, "endpoint.enable" if on else "endpoint.disable", endpoint_id
        ):
            # If nothing changes, it is so already.
            if on:
                keeper = actor.id if row.owner is None else row.owner
                await self._endpoints.switch_on(endpoint_id, scope_of(actor), keeper)
            else:
                await self._endpoints.switch_off(endpoint_id, scope_of(actor))
        return await self.view(actor, endpoint_id)

    async def find(self, actor: Principal, endpoint_id: str) -> Endpoint:
        """Return an endpoint that the caller may see. Raises NotFound."""
        row = await self._endpoints.find(endpoint_id, scope_of(actor))
        if row is None:
            raise _not_found()
        return row

    async def end_with_change(self, user_id: str, new: Standing) -> None:
        """Disable the endpoints that an account may no longer have after its change."""
        keeps_own = new.is_active and new.role in _SHOPS
        for row in await self._endpoints.list_of_account(user_id):
            reason = KEEPER_NOT_ADMIN if row.owner is None else ACCOUNT_CHANGED
            is_kept = new.is_active_admin if row.owner is None else keeps_own
            if not is_kept and await self._endpoints.disable(row.pk, reason):
                report_disabled(str(row.pk), reason)

    @asynccontextmanager
    async def _acting(
        self, actor: Principal, action: str, endpoint_id: str, after: dict[str, Any] | None = None
    ) -> AsyncIterator[None]:
        async with self._audit.action(actor, action, _target(endpoint_id), after=after):
            yield

    async def _values_of(self, row: Endpoint, data: EndpointChange) -> dict[str, Any]:
        """Return the fields to set."""
        names = ("description", "types", "service_types", "providers", "headers", "version")
        values = {name: getattr(data, name) for name in names if getattr(data, name) is not None}
        if data.headers is not None:
            check_headers(data.headers)
        if data.types is not None:
            _check_types(data.types, row.owner)
        if data.url is not None:
            values["url"] = (await self._check_url(data.url, row.owner)).url
        if data.end_previous_secret:
            values["secrets"] = [each for each in row.secrets if each.until is None]
        return values

    async def _check_url(self, url: str, owner: str | None) -> Target:
        may_be_internal = self._trusts_shops or owner is None
        target = self._rules.read(url, may_be_internal=may_be_internal)
        if await self._transport.find_private(target):
            raise InvalidInput(
                "Must be a host on the Internet. This name leads to an address of a private network.",
                field="url",
            )
        return target

    async def _check_count(self, owner: str | None, most: int) -> None:
        if await self._endpoints.count_of(owner, self._most + 1) > most:
            raise TooManyEndpoints(
                f"An account has at most {self._most} endpoints. Remove one that is not used."
            )

    async def _check_account(self, actor: Principal) -> None:
        account = await self._users.get_one_or_none(id=actor.id)
        is_founded = account is not None and account.standing.is_active
        if actor.is_admin:
            is_founded = account is not None and account.standing.is_active_admin
        if not is_founded:
            raise EndpointChanged("The account changed at the same time. Sign in and try again.")


def _still_signing(
    secrets: list[EndpointSecret], at: datetime, until: datetime
) -> list[EndpointSecret]:
    """Return the earlier secrets that go on signing, none longer than until `until`."""
    ends = [(each, min(each.until or until, until)) for each in secrets]
    return [
        EndpointSecret(sealed=each.sealed, at=each.at, until=end) for each, end in ends if end > at
    ]


def _check_types(types: list[EventType], owner: str | None) -> None:
    for each in types:
        if owner is not None and CATALOGUE[each].for_administrators:
            raise InvalidInput(f"{each.value} is for administrators only.", field="types")


def _target(endpoint_id: str) -> str:
    return f"endpoint:{endpoint_id}"


def _endpoint_changed() -> EndpointChanged:
    return EndpointChanged(
        "Another request changed the endpoint at the same time. Read it and try again."
    )


def _not_found() -> NotFound:
    return NotFound("There is no endpoint with this id.", field="endpointId")
