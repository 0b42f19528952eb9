"""The webhook's guard: its signature, over the bytes as they came."""

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
    """The signature does not fit the body."""

    code = "invalid_signature"


class HasWebhookSignature:
    """Admit bodies signed with the current or the previous webhook secret."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets)

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        signature = connection.headers.get("x-razorpay-signature", "")
        body = await _body(connection)
        if not webhook_signature_fits(self._secrets, body, signature):
            WEBHOOKS.labels("bad_signature").inc()
            _log.warning("webhook_refused", bytes=len(body), signed=bool(signature))
            raise InvalidWebhookSignature("The signature does not fit the body.")


async def _body(connection: ASGIConnection[Any, Any, Any, Any]) -> bytes:
    # A guard is handed the request the handler gets; its body is read once and kept.
    if not isinstance(connection, Request):
        raise Unauthenticated("Webhooks come over HTTP.")
    return await connection.body()
