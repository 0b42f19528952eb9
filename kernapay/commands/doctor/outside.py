"""What lies outside: the gateway, the file store, the providers of mail and SMS."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.config.settings import Settings
from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import GatewayRejected
from kernapay.notifications import providers


async def gateway(services: Services, clock: Clock) -> list[Finding]:
    settings, at = services.settings, clock()
    try:
        await services.payment_gateway.list_orders(at - timedelta(minutes=1), at, skip=0, count=1)
    except GatewayRejected as error:
        return [
            Finding(
                Level.FAIL,
                "Razorpay",
                f"refuses the keys: {error.detail}",
                "make new ones in the dashboard: RAZORPAY_KEY_ID, RAZORPAY_KEY_SECRET",
            )
        ]
    except KernaPayError as error:
        return [
            Finding(
                Level.FAIL,
                "Razorpay",
                f"cannot be reached: {error.detail}",
                "check RAZORPAY_BASE_URL and the way out of this network",
            )
        ]
    if settings.live is not settings.production:
        kind = "live keys: real money" if settings.live else "test keys: no real money"
        return [
            Finding(
                Level.WARN,
                "Razorpay",
                f"accepts the keys; {kind}, in {settings.app_env.value}",
                "make sure that this is meant",
            )
        ]
    return [
        Finding(Level.OK, "Razorpay", f"accepts the {'live' if settings.live else 'test'} keys")
    ]


async def files(services: Services, _: Clock) -> list[Finding]:
    try:
        where = await services.file_store.check()
    except KernaPayError as error:
        return [
            Finding(
                Level.FAIL,
                "files",
                f"cannot be kept: {error.detail}",
                "check AWS_BUCKET_NAME, its keys and region, or FILES_DIR",
            )
        ]
    if services.settings.production and services.settings.aws_bucket_name is None:
        return [
            Finding(
                Level.WARN,
                "files",
                f"kept in {where}",
                "set AWS_BUCKET_NAME as soon as a second machine serves",
            )
        ]
    return [Finding(Level.OK, "files", f"kept in {where}")]


def messages(settings: Settings) -> Iterator[Finding]:
    ways: list[tuple[str, Callable[[Settings], object | None], str]] = [
        ("e-mail", providers.email, "EMAIL_API_KEY and SENDER_EMAIL"),
        ("SMS", providers.sms, "FAST_2_SMS_KEY"),
    ]
    wanted = {"email": {"e-mail"}, "mobile": {"SMS"}, "both": {"e-mail", "SMS"}}
    if not any(provider(settings) for _, provider, _ in ways):
        wanted["any"] = {"e-mail", "SMS"}  # with one of them, the other is not needed
    for name, provider, variables in ways:
        if provider(settings) is not None:
            yield Finding(Level.OK, name, "a provider is configured")
            continue
        demanded = name in wanted.get(settings.require_verified, set())
        yield Finding(
            Level.FAIL if demanded else Level.WARN,
            name,
            "no provider: codes cannot be sent"
            + (f", and REQUIRE_VERIFIED={settings.require_verified}" if demanded else ""),
            f"set {variables}",
        )
