"""Build the example data: two weeks of a small clinic, simulated with the services and the sandbox."""

import random
from functools import partial
from typing import Final

from kernapay.commands.example_data.accounts import open_accounts
from kernapay.commands.example_data.incidents import Incidents
from kernapay.commands.example_data.purchases import Purchases
from kernapay.commands.example_data.simulation import Progress, open_simulation
from kernapay.commands.example_data.visits import days_until, draw_visits
from kernapay.config.settings import Settings
from kernapay.core.business_days import BusinessDays
from kernapay.core.clock import now

# The same weeks each time, so that what is seen once is seen again.
_SEED: Final = 14


async def make_example_data(settings: Settings, count: int, progress: Progress) -> None:
    """Make `count` payments of the last days, and what happens around them.

    The demo accounts must exist, and neither an API nor a worker may run. Raises ClickException, KernaPayError.
    """
    draw = random.Random(_SEED)  # noqa: S311
    days = BusinessDays(settings.business_timezone)
    end = now().replace(microsecond=0)
    starts = days_until(end, days)
    async with open_simulation(settings, starts[0]) as simulation:
        accounts = await open_accounts(simulation.services)
        purchases = Purchases(simulation, accounts, draw)
        Incidents(simulation, accounts, purchases, days, draw).plan(starts, end)
        for visit in draw_visits(count, end, days, draw):
            simulation.plan(visit.at, partial(purchases.play, visit))
        await simulation.play(end, progress)
        await simulation.move_to(end)
        await simulation.work()
