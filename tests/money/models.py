"""Set up a state machine of Hypothesis over the service and a gateway in memory."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine

from kernapay.bootstrap.services import Services
from tests.aliases import Store
from tests.clocks import RunningClock
from tests.environment import settings_from
from tests.money.fake_gateway import FakeGateway


class ServiceModel(RuleBasedStateMachine):
    """A state machine whose rules call the service. `bind` gives it what it runs on."""

    services: ClassVar[Services]
    gateway: ClassVar[FakeGateway]
    clock: ClassVar[RunningClock]
    loop: ClassVar[asyncio.Runner]
    # In a tuple: Hypothesis looks for rules among the attributes, and a database has any attribute.
    stores: ClassVar[tuple[Store]]


ModelT = TypeVar("ModelT", bound=ServiceModel)


@contextmanager
def bind(
    model: type[ModelT], env: dict[str, str], store: Store, **settings: object
) -> Iterator[type[ModelT]]:
    """Yield the model with services of its own over the store, which end with the block."""
    clock = RunningClock()
    gateway = FakeGateway(clock)
    services = Services(settings_from(env, **settings), clock=clock, gateway=gateway)
    with asyncio.Runner() as loop:
        loop.run(services.open())
        yield type(
            "BoundModel",
            (model,),
            {
                "services": services,
                "gateway": gateway,
                "clock": clock,
                "loop": loop,
                "stores": (store,),
            },
        )
        loop.run(services.close())
