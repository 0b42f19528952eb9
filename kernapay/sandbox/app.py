"""The sandbox as an application: Razorpay's API, Checkout and the sandbox's own calls."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from kernapay.sandbox.bootstrap import build_sandbox
from kernapay.sandbox.checkout.assets import AssetController
from kernapay.sandbox.checkout.controller import CheckoutController
from kernapay.sandbox.checkout.cors import OpenToPages
from kernapay.sandbox.checkout.hosted import HostedController
from kernapay.sandbox.config import SandboxConfig
from kernapay.sandbox.control.clock import ClockController
from kernapay.sandbox.control.downtimes import DowntimeController
from kernapay.sandbox.control.faults import FaultController
from kernapay.sandbox.control.keys import KeyController
from kernapay.sandbox.control.mailbox import MailboxController, ProviderController
from kernapay.sandbox.control.offers import OfferController
from kernapay.sandbox.control.overview import OverviewController
from kernapay.sandbox.control.receiver import ReceiverController
from kernapay.sandbox.control.requests import RequestLogController
from kernapay.sandbox.control.scenarios import ScenarioController
from kernapay.sandbox.control.settlements import SettlingController
from kernapay.sandbox.control.simulation import SimulationController
from kernapay.sandbox.control.state import StateController
from kernapay.sandbox.control.webhooks import WebhookController
from kernapay.sandbox.errors import (
    ControlError,
    RazorpayError,
    bad_request,
    not_played,
    server_error,
    unknown_route,
)
from kernapay.sandbox.fault_injection import FaultInjectionMiddleware
from kernapay.sandbox.json_http import AnyRequest, json_response
from kernapay.sandbox.not_played import find_route
from kernapay.sandbox.request_log import RequestLogMiddleware
from kernapay.sandbox.rest.api_call import provide_api_call
from kernapay.sandbox.rest.customers import CustomerController
from kernapay.sandbox.rest.disputes import DisputeController
from kernapay.sandbox.rest.downtimes import DowntimeApiController
from kernapay.sandbox.rest.linked_accounts import LinkedAccountController
from kernapay.sandbox.rest.orders import OrderController
from kernapay.sandbox.rest.payment_links import PaymentLinkController
from kernapay.sandbox.rest.payments import CardController, PaymentController
from kernapay.sandbox.rest.plugins import PluginController, PublicController
from kernapay.sandbox.rest.refunds import RefundController
from kernapay.sandbox.rest.settlements import SettlementController
from kernapay.sandbox.rest.transfers import (
    PaymentTransferController,
    ReversalController,
    TransferController,
)
from kernapay.sandbox.rest.webhooks import WebhookApiController
from kernapay.sandbox.trusted_hosts import OnlyTrustedHosts

log = logging.getLogger("kernapay.sandbox")


def create_app(config: SandboxConfig | None = None) -> Litestar:
    """Build the application. Without a configuration, read it from the environment.

    Raise ConfigError, or DatabaseError if the file cannot be used.
    """
    config = config or SandboxConfig.from_env(os.environ)
    sandbox = build_sandbox(config)
    sandbox.database.open()

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with sandbox.run():
            yield

    def request_log(app: ASGIApp) -> ASGIApp:
        return RequestLogMiddleware(app, sandbox.request_log)

    def fault_injection(app: ASGIApp) -> ASGIApp:
        return FaultInjectionMiddleware(app, sandbox.faults)

    async def flush_first(response: Response[Any]) -> Response[Any]:
        # Send a response only after its rows are on disk: a crash must not undo what a client has already seen.
        await sandbox.database.flush()
        return response

    app = Litestar(
        route_handlers=[
            OrderController,
            PaymentController,
            CardController,
            TransferController,
            ReversalController,
            LinkedAccountController,
            PaymentTransferController,
            RefundController,
            CustomerController,
            PaymentLinkController,
            DowntimeApiController,
            WebhookApiController,
            PublicController,
            PluginController,
            SettlementController,
            DisputeController,
            AssetController,
            CheckoutController,
            HostedController,
            SimulationController,
            OfferController,
            KeyController,
            DowntimeController,
            SettlingController,
            WebhookController,
            FaultController,
            ClockController,
            MailboxController,
            ProviderController,
            ReceiverController,
            StateController,
            OverviewController,
            RequestLogController,
            ScenarioController,
        ],
        dependencies={
            "sandbox": Provide(lambda: sandbox, sync_to_thread=False),
            "api_call": Provide(provide_api_call),
        },
        exception_handlers={
            RazorpayError: handle_error,
            ControlError: handle_error,
            HTTPException: handle_http_error,
            Exception: handle_failure,
        },
        before_request=refuse_unplayed,
        guards=[OnlyTrustedHosts(config.allowed_hosts)],
        lifespan=[lifespan],
        middleware=[request_log, fault_injection],
        after_request=flush_first,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = OpenToPages(app.asgi_handler)
    return app


async def refuse_unplayed(request: AnyRequest) -> None:
    """Raise RazorpayError if a route that takes any id also matches a path of Razorpay's that is not played."""
    if (what := find_route(request.scope["path"])) is not None:
        raise not_played(what)


def handle_error(_: AnyRequest, error: RazorpayError | ControlError) -> Response[bytes]:
    return json_response(error.body, error.status)


def handle_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    if error.status_code not in {404, 405}:
        return handle_error(request, bad_request(error.detail))
    path = request.url.path
    if (what := find_route(path)) is not None:
        return handle_error(request, not_played(what))
    if path.startswith(("/v1", "/v2")):
        return handle_error(request, unknown_route())
    message = f"There is no {request.method} {path[:200]}."
    return handle_error(request, ControlError(message, error.status_code))


def handle_failure(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return handle_error(request, server_error())
