"""`kernapay doctor`: look at everything the service stands on, and say what to do about what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.commands.doctor.outside import files, gateway, messages
from kernapay.commands.doctor.stores import mongodb, redis
from kernapay.config.settings import Settings, production_problems
from kernapay.core.clock import Clock, now


async def examine(settings: Settings, clock: Clock = now) -> AsyncIterator[Finding]:
    """Look at one thing after the other; nothing is changed."""
    for finding in _configuration(settings):
        yield finding
    services = Services(settings, clock=clock)
    try:
        for finding in await asyncio.to_thread(mongodb, settings, clock):
            yield finding
        for look in (redis, gateway, files):
            for finding in await look(services, clock):
                yield finding
        for finding in messages(settings):
            yield finding
    finally:
        await services.close()


def _configuration(settings: Settings) -> Iterator[Finding]:
    subject = "configuration"
    yield Finding(Level.OK, subject, f"complete, for {settings.app_env.value}")
    problems = production_problems(settings)
    for name, problem in problems:
        yield Finding(Level.WARN, subject, f"{name} {problem}", "change it before you go live")
    if not problems:
        yield Finding(Level.OK, "secrets", "strong enough for production")
    if settings.jwt_secret_previous is not None:
        yield Finding(
            Level.WARN,
            "secrets",
            "JWT_SECRET_PREVIOUS is still accepted",
            "unset it once the tokens it signed have expired (TOKEN_EXPIRY)",
        )
    if settings.razorpay_webhook_secret_previous is not None:
        yield Finding(
            Level.WARN,
            "secrets",
            "RAZORPAY_WEBHOOK_SECRET_PREVIOUS is still accepted",
            "unset it a day after you changed it in the Razorpay dashboard",
        )
