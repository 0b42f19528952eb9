"""Make the example data: two weeks of a small clinic, played through the services and the sandbox."""

import random
from functools import partial
from typing import Final

from kernapay.commands.example_data.accounts import open_accounts
from kernapay.commands.example_data.diary import days_until, write_diary
from kernapay.commands.example_data.purchases import Purchases
from kernapay.commands.example_data.stage import Progress, open_stage
from kernapay.commands.example_data.story import Story
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
    async with open_stage(settings, starts[0]) as stage:
        accounts = await open_accounts(stage.services)
        purchases = Purchases(stage, accounts, draw)
        Story(stage, accounts, purchases, days, draw).plan(starts, end)
        for visit in write_diary(count, end, days, draw):
            stage.plan(visit.at, partial(purchases.play, visit))
        await stage.play(end, progress)
        await stage.move_to(end)
        await stage.work()
