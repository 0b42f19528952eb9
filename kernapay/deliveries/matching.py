"""Decide which endpoints get an event."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from kernapay.deliveries.drafts import Draft, Mark
from kernapay.deliveries.models import EndpointState, EventType


class Filter(Protocol):
    """The filters of an endpoint. An empty list admits all."""

    @property
    def id(self) -> object: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def types(self) -> Sequence[str]: ...
    @property
    def service_types(self) -> Sequence[str]: ...
    @property
    def providers(self) -> Sequence[str]: ...


class Listener(Filter, Protocol):
    @property
    def state(self) -> EndpointState: ...
    @property
    def since(self) -> datetime: ...
    @property
    def created_at(self) -> datetime | None: ...


class Facts(Protocol):
    """The facts of an event that filters look at."""

    @property
    def type(self) -> EventType: ...
    @property
    def subject(self) -> str: ...
    @property
    def shop_id(self) -> str | None: ...
    @property
    def provider_id(self) -> str | None: ...
    @property
    def service_type(self) -> str | None: ...


ListenerT = TypeVar("ListenerT", bound=Listener)


def wants(endpoint: Filter, event: Facts) -> bool:
    """Return whether an event passes the filters of an endpoint, whenever it happened.

    A shop gets events of its own payments only. An event without a service type or provider passes no filter by it.
    """
    if event.type is EventType.ENDPOINT_TEST:
        return event.subject == str(endpoint.id)
    return (
        endpoint.owner in (None, event.shop_id)
        and (not endpoint.types or event.type in endpoint.types)
        and (not endpoint.service_types or event.service_type in endpoint.service_types)
        and (not endpoint.providers or event.provider_id in endpoint.providers)
    )


def hears(endpoint: Listener, mark: Mark) -> bool:
    """Return whether an endpoint gets a new event: it is on, and was before the event."""
    return (
        endpoint.state is EndpointState.ON and mark.at >= endpoint.since and wants(endpoint, mark)
    )


def match(draft: Draft, endpoints: Sequence[ListenerT]) -> Iterator[tuple[ListenerT, str | None]]:
    """Yield the endpoints that receive an event, each with the id of the event that has to arrive before it.

    That may still wait since before the endpoint was off for a time.
    """
    for endpoint in endpoints:
        if hears(endpoint, draft.mark):
            first = min(endpoint.created_at or endpoint.since, endpoint.since)
            before = (
                mark.id
                for mark in reversed(draft.before)
                if mark.at >= first and wants(endpoint, mark)
            )
            yield endpoint, next(before, None)
