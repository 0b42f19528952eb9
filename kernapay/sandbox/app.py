"""The sandbox as an application: Razorpay's API, Checkout, and the sandbox's own calls."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from kernapay.sandbox.assembly import assemble
from kernapay.sandbox.checkout.assets import AssetController
from kernapay.sandbox.checkout.controller import CheckoutController
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.control.clock import ClockController
from kernapay.sandbox.control.customer import CustomerController
from kernapay.sandbox.control.faults import FaultController
from kernapay.sandbox.control.mailbox import MailboxController, ProviderController
from kernapay.sandbox.control.state import StateController
from kernapay.sandbox.control.webhooks import WebhookController
from kernapay.sandbox.disruption import Disruption
from kernapay.sandbox.errors import (
    ControlError,
    RazorpayError,
    bad_request,
    server_error,
    unknown_route,
)
from kernapay.sandbox.rest.call import answer, provide_call
from kernapay.sandbox.rest.disputes import DisputeController
from kernapay.sandbox.rest.orders import OrderController
from kernapay.sandbox.rest.payments import PaymentController
from kernapay.sandbox.rest.refunds import RefundController
from kernapay.sandbox.rest.settlements import SettlementController

log = logging.getLogger("kernapay.sandbox")
AnyRequest = Request[Any, Any, Any]


def create_app(config: SandboxConfig | None = None) -> Litestar:
    """Build the sandbox; without a configuration it reads its environment.

    Raises ConfigError, or JournalError if the file for the books cannot be used.
    """
    sandbox = assemble(config or SandboxConfig.from_env(os.environ))
    sandbox.journal.open()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with sandbox.running():
            yield

    def disruption(app: ASGIApp) -> ASGIApp:
        return Disruption(app, sandbox.faults)

    async def settle_first(response: Response[Any]) -> Response[Any]:
        # No answer leaves before everything it speaks of is on disk.
        await sandbox.journal.durable()
        return response

    return Litestar(
        route_handlers=[
            OrderController,
            PaymentController,
            RefundController,
            SettlementController,
            DisputeController,
            AssetController,
            CheckoutController,
            CustomerController,
            WebhookController,
            FaultController,
            ClockController,
            MailboxController,
            ProviderController,
            StateController,
        ],
        dependencies={
            "sandbox": Provide(lambda: sandbox, sync_to_thread=False),
            "call": Provide(provide_call),
        },
        exception_handlers={
            RazorpayError: refuse,
            ControlError: refuse,
            HTTPException: refuse_http,
            Exception: report,
        },
        lifespan=[lifespan],
        middleware=[disruption],
        after_request=settle_first,
        openapi_config=None,
        logging_config=None,
    )


def refuse(_: AnyRequest, error: RazorpayError | ControlError) -> Response[bytes]:
    return answer(error.body, error.status)


def refuse_http(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refused. Razorpay calls an unknown route a bad request."""
    if error.status_code not in {404, 405}:
        return refuse(request, bad_request(error.detail))
    if request.url.path.startswith("/v1"):
        return refuse(request, unknown_route())
    return refuse(request, ControlError("There is nothing here.", error.status_code))


def report(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refuse(request, server_error())
