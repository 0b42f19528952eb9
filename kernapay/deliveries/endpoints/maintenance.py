"""Maintain endpoints in the worker: mail their owners, delete removed ones, re-encrypt secrets after a rotation."""

from datetime import timedelta
from typing import Final

import structlog

from kernapay.core.clock import Clock
from kernapay.core.keys import BrokenSeal, Sealer
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.metrics import GONE
from kernapay.deliveries.models import Endpoint, EndpointSecret
from kernapay.deliveries.repository import DeliveryRepository
from kernapay.notifications.models import Channel
from kernapay.notifications.outbox import Outbox
from kernapay.users.repository import UserRepository

_log = structlog.get_logger("kernapay.deliveries")
_KEEP_TRYING: Final = timedelta(days=3)
_BATCH: Final = 5000
_REASONS: Final = {
    GONE: "It answered 410 Gone, which asks for no more events.",
}
_FAILING: Final = "It has taken no event for five days."


class EndpointMaintenance:
    def __init__(
        self,
        endpoints: EndpointRepository,
        deliveries: DeliveryRepository,
        users: UserRepository,
        outbox: Outbox,
        sealer: Sealer,
        sender_name: str,
        clock: Clock,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._users = users
        self._outbox = outbox
        self._sealer = sealer
        self._has_resealed = False
        self._sender_name = sender_name
        self._clock = clock

    async def sweep(self) -> bool:
        """Do what is due. Return False if nothing was. Raises Unavailable."""
        if not self._has_resealed:
            await self._reseal_all()
            self._has_resealed = True
        to_notify = await self._endpoints.list_to_notify()
        for endpoint in to_notify:
            await self._notify(endpoint)
        removed = await self._endpoints.list_removed()
        for endpoint in removed:
            await self._delete(endpoint)
        return bool(to_notify or removed)

    async def _notify(self, endpoint: Endpoint) -> None:
        """Put a mail to the keeper into the outbox. If the process dies right after that, a second mail follows."""
        keeper = await self._users.get_one_or_none(id=endpoint.keeper)
        if keeper is not None and keeper.standing.is_active:
            at = self._clock()
            await self._outbox.post(
                Channel.EMAIL,
                "endpoint_disabled",
                keeper.email,
                _text(endpoint),
                subject=f"{self._sender_name}: an endpoint was switched off",
                expires_at=at + _KEEP_TRYING,
                user_id=endpoint.keeper,
            )
        if not await self._endpoints.note_notice(endpoint):
            _log.info("endpoint_enabled_meanwhile", endpoint=str(endpoint.pk))

    async def _reseal_all(self) -> None:
        """Re-encrypt with JWT_SECRET the secrets that were encrypted with JWT_SECRET_PREVIOUS.

        Once per process is enough, because its settings do not change.
        """
        async for endpoint in self._endpoints.stream_all():
            try:
                renewed = [self._sealer.renew(each.sealed) for each in endpoint.secrets]
            except BrokenSeal:
                continue  # the dispatcher reports it
            if any(each is not None for each in renewed):
                secrets = [
                    EndpointSecret(sealed=new or old.sealed, at=old.at, until=old.until)
                    for old, new in zip(endpoint.secrets, renewed, strict=True)
                ]
                if await self._endpoints.change(endpoint, secrets=secrets):
                    _log.info("endpoint_resealed", endpoint=str(endpoint.pk))

    async def _delete(self, endpoint: Endpoint) -> None:
        name = str(endpoint.pk)
        if await self._deliveries.delete_some(name, _BATCH) == 0:
            await self._endpoints.delete(endpoint)


def _text(endpoint: Endpoint) -> str:
    # Without the URL: it may have a secret in it.
    name = endpoint.description or "without a description"
    reason = _REASONS.get(endpoint.reason or "", _FAILING)
    return (
        f"The endpoint {endpoint.pk} ({name}) gets no more events. {reason}\n\n"
        "What waits for it is kept. When it works again, switch it on with "
        f"POST /v1/api/endpoints/{endpoint.pk}/enable: what is younger than three days is sent then. "
        f"POST /v1/api/endpoints/{endpoint.pk}/replay sends what is older, and what happened meanwhile.\n"
    )
