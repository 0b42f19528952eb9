"""The application inside the test's own process, with collaborators of the test's choice."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast

import httpx
from litestar import Litestar

from kernapay.bootstrap.services import Services
from kernapay.core.clock import Clock, now
from kernapay.gateway.base import PaymentGateway
from tests import secrecy


class InProcessClient(httpx.AsyncClient):
    """A client of an application on the test's own event loop; `services` are its collaborators."""

    def __init__(self, app: Litestar, services: Services) -> None:
        super().__init__(
            # Litestar names the messages of ASGI one by one; httpx knows them as mappings.
            transport=httpx.ASGITransport(cast(Any, app)),
            base_url="http://in-process",
            event_hooks=secrecy.async_hooks(),
        )
        self.app = app
        self.services = services


class InProcess(Protocol):
    """`async with in_process(clock=…, salt_rounds=4) as client`: what is no collaborator is a setting."""

    def __call__(
        self, *, clock: Clock = now, gateway: PaymentGateway | None = None, **settings: object
    ) -> AbstractAsyncContextManager[InProcessClient]: ...
