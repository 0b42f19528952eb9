"""Set up a state machine of Hypothesis over the service and a gateway in memory."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

from kernapay.bootstrap.services import Services
from tests.aliases import Store
from tests.clocks import RunningClock
from tests.environment import settings_from
from tests.money.fake_gateway import FakeGateway


class ServiceModel(RuleBasedStateMachine):
    """A state machine whose rules call the service. `bind` gives it what it runs on."""

    services: Services
    services_by: ClassVar[Mapping[str, Services]]
    """The services for each value of LATE_PAYMENTS that the model plays."""
    gateway: ClassVar[FakeGateway]
    clock: ClassVar[RunningClock]
    loop: ClassVar[asyncio.Runner]
    # In a tuple: Hypothesis looks for rules among the attributes, and a database has any attribute.
    stores: ClassVar[tuple[Store]]


ModelT = TypeVar("ModelT", bound=ServiceModel)


def only_if(
    condition: Callable[[Any], object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a rule do nothing where the condition does not hold.

    Not a `precondition`: the service works in threads, so the same steps may lead to another state, from which
    Hypothesis would draw other data, and fail for that.
    """

    def decorate(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken(self: Any, *args: Any, **drawn: Any) -> None:
            if condition(self):
                step(self, *args, **drawn)

        return taken

    return decorate


def with_examples(usual: int, soak: int, **more: Any) -> pytest.MarkDecorator:
    """Pass a test its `examples`, settings of Hypothesis: the same ones each time, and in a soak run more, new ones."""

    def examples(count: int, *, anew: bool) -> settings:
        return settings(
            max_examples=count,
            deadline=None,
            derandomize=not anew,
            # To make an example smaller takes longer than a test may.
            phases=(Phase.generate,),
            database=None,
            suppress_health_check=list(HealthCheck),
            **more,
        )

    return pytest.mark.parametrize(
        "examples",
        [
            pytest.param(examples(usual, anew=False), id="the same examples each time"),
            pytest.param(
                examples(soak, anew=True),
                id="new examples",
                marks=[pytest.mark.soak, pytest.mark.timeout(900)],
            ),
        ],
    )


@contextmanager
def bind(
    model: type[ModelT],
    env: dict[str, str],
    store: Store,
    late_payments: Sequence[str] = ("refund",),
    **changes: object,
) -> Iterator[type[ModelT]]:
    """Yield the model with services of its own over the store, which end with the block.

    It has those for the first of `late_payments` until it chooses others.
    """
    clock = RunningClock()
    gateway = FakeGateway(clock)
    services_by = {
        each: Services(
            settings_from(env, late_payments=each, **changes), clock=clock, gateway=gateway
        )
        for each in late_payments
    }
    with asyncio.Runner() as loop:
        for services in services_by.values():
            loop.run(services.open())
        yield type(
            "BoundModel",
            (model,),
            {
                "services": services_by[late_payments[0]],
                "services_by": services_by,
                "gateway": gateway,
                "clock": clock,
                "loop": loop,
                "stores": (store,),
            },
        )
        for services in services_by.values():
            loop.run(services.close())
