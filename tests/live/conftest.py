from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property

import pytest

from kernapay.app import create_app
from kernapay.bootstrap.services import Services
from kernapay.live.repository import LivePaymentRepository
from kernapay.live.watcher import Rhythm, Watcher
from kernapay.security.authentication import Authenticator
from tests.aliases import Store
from tests.environment import settings_from
from tests.live.asgi import LiveApp

FAST = Rhythm(heartbeat=0.2, poll=0.3, poll_in_doubt=0.2, patience=0.5)

OpenLive = Callable[..., AbstractAsyncContextManager[LiveApp]]


@pytest.fixture
def open_live(api_env: dict[str, str], store: Store) -> OpenLive:
    """Run the application in this process: `async with open_live(rhythm=…, repository=…) as app`."""

    @asynccontextmanager
    async def opened(
        *,
        rhythm: Rhythm = FAST,
        repository: type[LivePaymentRepository] = LivePaymentRepository,
        authenticator: type[Authenticator] = Authenticator,
        **changes: object,
    ) -> AsyncIterator[LiveApp]:
        class LiveServices(Services):
            @cached_property
            def live_payment_repository(self) -> LivePaymentRepository:
                return repository(self.mongo, self._clock)

            @cached_property
            def authenticator(self) -> Authenticator:
                sessions, keys = self.session_authentication, self.api_key_service
                return authenticator(
                    self.token_issuer,
                    sessions.authenticate,
                    keys.authenticate,
                    sessions.authenticate_console,
                )

            @cached_property
            def watcher(self) -> Watcher:
                return Watcher(self.live_payment_repository, self.payment_signals, rhythm)

        settings = settings_from(api_env, **changes)
        services = LiveServices(settings)
        app = create_app(settings, services)
        async with app.lifespan():
            await services.schema_watch.check()
            yield LiveApp(app, services)

    return opened
