"""Checks of outside services: the gateway, the file store, the providers of e-mail and SMS."""

from datetime import timedelta

from kernapay.bootstrap.services import Services
from kernapay.commands.doctor.findings import Finding, Level
from kernapay.core.clock import Clock
from kernapay.core.errors import KernaPayError
from kernapay.gateway.base import GatewayDenied
from kernapay.notifications.models import Channel


async def gateway(services: Services, clock: Clock) -> list[Finding]:
    settings, at = services.settings, clock()
    try:
        await services.payment_gateway.list_orders(at - timedelta(minutes=1), at, skip=0, count=1)
    except GatewayDenied as error:
        return [
            Finding(
                Level.FAIL,
                "Razorpay",
                f"refuses the keys: {error.detail.rstrip('.')}",
                "generate a key in the Razorpay dashboard, and set RAZORPAY_KEY_ID and RAZORPAY_KEY_SECRET.",
            )
        ]
    except KernaPayError as error:
        return [
            Finding(
                Level.FAIL,
                "Razorpay",
                f"cannot be reached: {error.detail.rstrip('.')}",
                "check RAZORPAY_BASE_URL, and that this machine may connect to it.",
            )
        ]
    return [
        Finding(Level.OK, "Razorpay", f"accepts the {'live' if settings.is_live else 'test'} keys")
    ]


async def files(services: Services, _: Clock) -> list[Finding]:
    try:
        place = await services.file_store.check()
    except KernaPayError as error:
        return [
            Finding(
                Level.FAIL,
                "files",
                f"cannot be stored: {error.detail.rstrip('.')}",
                "check AWS_BUCKET_NAME, AWS_REGION and the AWS keys, or FILES_DIR without a bucket.",
            )
        ]
    if services.settings.is_production and services.settings.aws_bucket_name is None:
        return [
            Finding(
                Level.WARN,
                "files",
                f"stored in {place}, which other machines cannot read",
                "set AWS_BUCKET_NAME before a second machine serves.",
            )
        ]
    return [Finding(Level.OK, "files", f"stored in {place}")]


async def messages(services: Services, _: Clock) -> list[Finding]:
    settings, has_provider = services.settings, services.outbox.has_provider
    channels = [
        ("e-mail", Channel.EMAIL, "EMAIL_API_KEY and SENDER_EMAIL"),
        ("SMS", Channel.SMS, "FAST_2_SMS_KEY"),
    ]
    required = {"email": {"e-mail"}, "mobile": {"SMS"}, "both": {"e-mail", "SMS"}}
    if not any(has_provider(channel) for _, channel, _ in channels):
        required["any"] = {"e-mail", "SMS"}  # if one is configured, the other is not required
    findings = []
    for name, channel, variables in channels:
        if has_provider(channel):
            findings.append(Finding(Level.OK, name, "a provider is configured"))
            continue
        is_required = name in required.get(settings.require_verified, set())
        findings.append(
            Finding(
                Level.FAIL if is_required else Level.WARN,
                name,
                "no provider is configured, so codes cannot be sent"
                + (f", but REQUIRE_VERIFIED={settings.require_verified}" if is_required else ""),
                f"set {variables}.",
            )
        )
    return findings
