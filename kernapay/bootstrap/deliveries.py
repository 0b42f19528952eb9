"""Endpoints and deliveries."""

from functools import cached_property
from typing import Final

from kernapay.administration.erasure.repository import ReferenceRepository
from kernapay.administration.erasure.service import AccountErasure, Copies, CustomerFollowUps
from kernapay.administration.service import AdministrationService
from kernapay.bootstrap.events import Events
from kernapay.core.keys import Sealer
from kernapay.core.metrics import GaugeSource
from kernapay.deliveries.addresses import AddressRules
from kernapay.deliveries.dispatch.dispatcher import Dispatcher
from kernapay.deliveries.dispatch.feeder import Feeder
from kernapay.deliveries.dispatch.repository import (
    BodyRepository,
    DispatchEndpointRepository,
    DueRepository,
)
from kernapay.deliveries.endpoints.maintenance import EndpointMaintenance
from kernapay.deliveries.endpoints.repository import EndpointRepository
from kernapay.deliveries.endpoints.service import EndpointService
from kernapay.deliveries.repository import PastEventRepository
from kernapay.deliveries.sender import Sender
from kernapay.deliveries.service import DeliveryService
from kernapay.deliveries.transport import Transport

# As many as the queues of 50 endpoints have in flight, and more for those that are slow to close.
_CONNECTIONS: Final = 500


class Deliveries(Events):
    @cached_property
    def address_rules(self) -> AddressRules:
        return AddressRules(self.settings.delivery_ports, self.settings.delivery_allowed_hosts)

    @cached_property
    def delivery_transport(self) -> Transport:
        return Transport(
            connections=_CONNECTIONS, seconds=self.settings.delivery_timeout.total_seconds()
        )

    @cached_property
    def endpoint_sealer(self) -> Sealer:
        return Sealer(self.settings.jwt_secrets, "endpoint-secret")

    @cached_property
    def endpoint_repository(self) -> EndpointRepository:
        return EndpointRepository(self.mongo, self._clock)

    @cached_property
    def endpoint_service(self) -> EndpointService:
        return EndpointService(
            self.endpoint_repository,
            self.user_repository,
            self.address_rules,
            self.delivery_transport,
            self.endpoint_sealer,
            self.audit_log,
            self._clock,
            most=self.settings.endpoints_per_account,
            overlap=self.settings.endpoint_rotation,
            trusts_shops=not self.settings.is_production,
        )

    @cached_property
    def administration_service(self) -> AdministrationService:
        return AdministrationService(
            self.account_repository,
            self.user_service,
            self.session_repository,
            self.api_key_service,
            self.endpoint_service,
            self.session_service.replace_password,
            self.second_factor_repository.remove,
            self.audit_log,
        )

    @cached_property
    def _copies(self) -> Copies:
        references = ReferenceRepository(self.mongo, self._clock)
        return Copies(
            references, self.event_text_erasure, self.receipt_service, self.gateway_call_repository
        )

    @cached_property
    def customer_follow_ups(self) -> CustomerFollowUps:
        return CustomerFollowUps(
            self.customer_service, self.customer_repository, self.customer_merging, self._copies
        )

    @cached_property
    def account_erasure(self) -> AccountErasure:
        return AccountErasure(
            self.account_repository,
            self.session_repository,
            self.second_factor_repository.remove,
            self.claim_repository,
            self.endpoint_repository,
            self._copies,
            self.password_hasher.hash,
            self.audit_log,
        )

    @cached_property
    def delivery_service(self) -> DeliveryService:
        return DeliveryService(
            self.endpoint_service,
            self.delivery_repository,
            PastEventRepository(self.mongo, self._clock),
            self.event_repository,
            self.audit_log,
            self._clock,
        )

    @cached_property
    def endpoint_maintenance(self) -> EndpointMaintenance:
        return EndpointMaintenance(
            self.endpoint_repository,
            self.delivery_repository,
            self.user_repository,
            self.outbox,
            self.endpoint_sealer,
            self.settings.sender_name,
            self._clock,
        )

    @cached_property
    def due_repository(self) -> DueRepository:
        settings = self.settings
        return DueRepository(
            self.mongo, settings.deliveries_keep, settings.deliveries_keep_done, self._clock
        )

    @cached_property
    def delivery_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            DispatchEndpointRepository(self.mongo, self._clock),
            self.due_repository,
            Feeder(self.due_repository, BodyRepository(self.mongo, self._clock), self._clock),
            Sender(self.delivery_transport, self._clock),
            self.address_rules,
            self.endpoint_sealer,
            self._clock,
            trusts_shops=not self.settings.is_production,
        )

    @cached_property
    def gauge_sources(self) -> tuple[GaugeSource, ...]:
        return (*super().gauge_sources, self.delivery_dispatcher)
