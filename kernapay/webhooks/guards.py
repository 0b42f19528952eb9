"""The guard of the webhook: it checks the signature over the raw body."""

from collections.abc import Sequence
from typing import Any

import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from kernapay.core.errors import Unauthenticated
from kernapay.gateway.signatures import webhook_signature_fits
from kernapay.webhooks.metrics import WEBHOOKS

_log = structlog.get_logger("kernapay.webhooks")


class InvalidWebhookSignature(Unauthenticated):
    """The signature does not match the body."""

    code = "invalid_signature"


class HasWebhookSignature:
    """Admit a request whose body is signed with the current or the previous webhook secret."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        signature = connection.headers.get("x-razorpay-signature", "")
        body = await _read_body(connection)
        if not webhook_signature_fits(self._secrets, body, signature):
            WEBHOOKS.labels("bad_signature").inc()
            _log.warning(
                "webhook_refused",
                bytes=len(body),
                signed=bool(signature),
                fix="if it came from Razorpay, set RAZORPAY_WEBHOOK_SECRET to the webhook's secret there",
            )
            raise InvalidWebhookSignature("The signature does not match the body.")


async def _read_body(connection: ASGIConnection[Any, Any, Any, Any]) -> bytes:
    # Litestar passes the same request to the handler, which gets the body from memory.
    if not isinstance(connection, Request):
        raise Unauthenticated("Send webhooks as HTTP requests.")
    return await connection.body()
