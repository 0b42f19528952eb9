"""Run KernaPay's services and the sandbox at a time of the past, for the example data."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from typing import Any, Final

import click
import httpx
from litestar import Litestar, Request, post

from kernapay.bootstrap.services import Services, open_services
from kernapay.config.settings import Settings
from kernapay.core.clock import now
from kernapay.deliveries.dispatch.repository import DispatchEndpointRepository
from kernapay.devstack.plan import WEBHOOK_PATH
from kernapay.web.problems import HANDLERS
from kernapay.webhooks.guards import HasWebhookSignature
from kernapay.worker import sweeps

Act = Callable[[], Awaitable[None]]
Progress = Callable[[datetime], None]
"""Called with the time that is played now."""
# Webhooks come some seconds after what they tell of, as at Razorpay: the payer's own page is mostly faster.
WEBHOOK_DELAY: Final = 4
_LOOK_SECONDS: Final = 0.003
# What waits for an earlier delivery of the same payment is due as well, and not sent.
_MOST_TURNS: Final = 4
_TURN_SECONDS: Final = 0.03
_PATIENCE_SECONDS: Final = 30.0
# The nights ask the gateway about every payment. The sandbox has no limit that they would have to keep.
_RATE: Final = 1000.0


class PastClock:
    """A clock that shows the time to which it was set last."""

    def __init__(self) -> None:
        self.at = now()

    def __call__(self) -> datetime:
        return self.at


class Simulation:
    """Runs planned acts in the order of their times, each with the clocks at its time."""

    def __init__(self, services: Services, sandbox: httpx.AsyncClient, clock: PastClock) -> None:
        self.services = services
        self._sandbox = sandbox
        self._clock = clock
        self._sweeps = sweeps(services)
        self._acts: list[tuple[datetime, int, Act]] = []
        self._numbers = count()

    @property
    def at(self) -> datetime:
        return self._clock.at

    def plan(self, at: datetime, act: Act) -> None:
        """Plan an act at a time in whole seconds, which must not have passed."""
        # The sandbox shows the times of its webhooks in whole seconds: with others, they would seem to be due early.
        heapq.heappush(self._acts, (at.replace(microsecond=0), next(self._numbers), act))

    async def play(self, until: datetime, progress: Progress) -> None:
        """Run all acts planned until then, including those that other acts plan."""
        while self._acts and self._acts[0][0] <= until:
            at, _, act = heapq.heappop(self._acts)
            progress(at)
            await self.move_to(at)
            await act()

    async def move_to(self, at: datetime) -> None:
        """Set both clocks, and wait for the webhooks that are due by then."""
        self._clock.at = max(at, self._clock.at)
        moment = self._clock.at.timestamp()
        await self.ask("/_sandbox/clock", {"now": moment, "frozen": True})
        async with asyncio.timeout(_PATIENCE_SECONDS):
            # Nothing tells when a webhook has come: it may be one that KernaPay refuses.
            while True:
                if not await self._is_webhook_due(moment):
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Call the sandbox. Raises ClickException with its answer, unless that is a success."""
        response = await self._sandbox.post(path, json=body)
        if not response.is_success:
            raise click.ClickException(f"The sandbox refused {path}: {response.text}")
        answer: dict[str, Any] = response.json()
        return answer

    async def remove_fault(self, fault_id: str) -> None:
        """Let an armed fault of the sandbox apply no longer."""
        await self._sandbox.delete(f"/_sandbox/faults/{fault_id}")

    async def sweep(self, *names: str) -> None:
        """Do the worker's due work of these kinds."""
        for name in names:
            while await self._sweeps[name]():
                pass

    async def deliver(self) -> None:
        """Make events of what has changed, and send them to the endpoints."""
        await self.sweep("events")
        dispatcher = self.services.delivery_dispatcher
        for _ in range(_MOST_TURNS):
            if not await self._count_due():
                return
            # A turn without much to do waits for a signal, or for a fifth of a second.
            asyncio.get_running_loop().call_later(_TURN_SECONDS, dispatcher.hear, "")
            await dispatcher.sweep()

    async def work(self) -> None:
        """Do all due work of a worker."""
        await self.sweep(*(name for name in self._sweeps if name != "deliveries"))
        await self.deliver()

    async def _count_due(self) -> int:
        on = await DispatchEndpointRepository(self.services.mongo, self._clock).list_on()
        due, _ = await self.services.due_repository.depth(sorted(each.id for each in on))
        return due

    async def _is_webhook_due(self, moment: float) -> bool:
        response = await self._sandbox.get("/_sandbox/deliveries?status=pending&count=100")
        return any((each["next_at"] or 0) <= moment for each in response.json()["items"])


@asynccontextmanager
async def open_simulation(settings: Settings, start: datetime) -> AsyncIterator[Simulation]:
    """Open a simulation at a time of the past. At its end, the sandbox's clock is right again.

    It takes the webhooks in place of the API, which must not run: with its clock, all of them would come today.
    """
    # Only a process that makes example data needs it, and a command line must start fast.
    from kernapay.health.worker_port import listening

    clock = PastClock()
    settings = settings.model_copy(update={"reconcile_rate": _RATE})
    async with (
        httpx.AsyncClient(
            base_url=settings.razorpay_base_url, timeout=30, trust_env=False
        ) as sandbox,
        open_services(settings, clock=clock) as services,
        listening(_webhook_app(services), settings.host, settings.port),
    ):
        clock.at = start.replace(microsecond=0)
        simulation = Simulation(services, sandbox, clock)
        await simulation.ask("/_sandbox/clock", {"now": start.timestamp(), "frozen": True})
        delay = {"name": "webhook_delay", "times": None, "options": {"seconds": WEBHOOK_DELAY}}
        fault = await simulation.ask("/_sandbox/faults", delay)
        try:
            yield simulation
        finally:
            await simulation.remove_fault(fault["id"])
            clock.at = now()
            await simulation.ask("/_sandbox/clock", {"reset": True})


def _webhook_app(services: Services) -> Litestar:
    @post(WEBHOOK_PATH, guards=[HasWebhookSignature(services.settings.webhook_secrets)])
    async def receive(request: Request[Any, Any, Any]) -> None:
        event_id = request.headers.get("x-razorpay-event-id")
        await services.webhook_inbox.receive(await request.body(), event_id)

    return Litestar(
        [receive], exception_handlers=HANDLERS, openapi_config=None, logging_config=None
    )
