"""The order of the checks, and the check of the configuration."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.commands.doctor.imports import imports
from kernapay.commands.doctor.nightly_reports import nights
from kernapay.commands.doctor.outside import account, files, gateway, messages
from kernapay.commands.doctor.stores import mongodb, redis
from kernapay.config.production import find_weaknesses
from kernapay.config.settings import Settings
from kernapay.config.warning_checks import find_warnings
from kernapay.core.clock import Clock, now


async def examine(settings: Settings, clock: Clock = now) -> AsyncIterator[Finding]:
    """Run every check. Nothing is changed."""
    for finding in _configuration(settings):
        yield finding
    services = Services(settings, clock=clock)
    try:
        for finding in await asyncio.to_thread(mongodb, settings, clock):
            yield finding
        for check in (nights, imports, redis, gateway, account, files, messages):
            for finding in await check(services, clock):
                yield finding
    finally:
        await services.close()


def _configuration(settings: Settings) -> Iterator[Finding]:
    subject = "configuration"
    yield Finding(Level.OK, subject, f"complete, for {settings.environment.value}")
    for variable, text, fix in find_warnings(settings):
        yield Finding(Level.WARN, subject, f"{variable} {text}", fix)
    weaknesses = find_weaknesses(settings)
    for variable, text, fix in weaknesses:
        yield Finding(Level.WARN, subject, f"{variable} {text}: production refuses it", fix)
    if not weaknesses:
        yield Finding(Level.OK, "secrets", "strong enough for production")
    if settings.jwt_secret_previous is not None:
        yield Finding(
            Level.WARN,
            "secrets",
            "JWT_SECRET_PREVIOUS is still accepted",
            "unset JWT_SECRET_PREVIOUS when TOKEN_EXPIRY has passed since the rotation.",
        )
    if settings.razorpay_webhook_secret_previous is not None:
        yield Finding(
            Level.WARN,
            "secrets",
            "RAZORPAY_WEBHOOK_SECRET_PREVIOUS is still accepted",
            "unset RAZORPAY_WEBHOOK_SECRET_PREVIOUS a day after the change in the Razorpay dashboard.",
        )
    if settings.razorpay_key_secret_previous is not None:
        yield Finding(
            Level.WARN,
            "secrets",
            "RAZORPAY_KEY_SECRET_PREVIOUS is still accepted",
            "unset RAZORPAY_KEY_SECRET_PREVIOUS a day after the change in the Razorpay dashboard.",
        )
