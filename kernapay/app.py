"""The Litestar application: routes, middleware, OpenAPI document, lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Request, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware

from kernapay.administration.controller import AdministrationController
from kernapay.administration.payments.controller import (
    MismatchController,
    PaymentSearchController,
)
from kernapay.apikeys.controller import ApiKeyController
from kernapay.audit.controller import AuditController
from kernapay.bootstrap.services import Services
from kernapay.bootstrap.tracing import traced
from kernapay.config.addresses import checkout_sources
from kernapay.config.loading import load_settings
from kernapay.config.settings import Settings
from kernapay.console.attention.controller import AttentionController
from kernapay.console.controller import console_pages
from kernapay.console.session.controller import ConsoleEnrolmentController, ConsoleSessionController
from kernapay.console.story.controller import StoryController
from kernapay.core import logs
from kernapay.customers.controller import CustomerController
from kernapay.deliveries.catalogue import messages
from kernapay.deliveries.controller import DeliveryController, EndpointController
from kernapay.deliveries.events.controller import EventController
from kernapay.files.controller import FileController
from kernapay.guide.controller import guide_pages
from kernapay.health.controller import HealthController, HealthReportController, MetricsController
from kernapay.live.controller import LiveController
from kernapay.payments.checkout.controller import CheckoutPageController, page_files
from kernapay.payments.claims.controller import ClaimController, GrantController
from kernapay.payments.controller import PaymentController
from kernapay.payments.disputes.controller import DisputeController
from kernapay.payments.documents.controller import ReceiptPageController, StatementController
from kernapay.payments.exports.controller import ExportController
from kernapay.payments.exports.jobs.controller import ExportJobController
from kernapay.payments.insights.controller import InsightController
from kernapay.payments.listing.controller import CustomerPaymentsController, PaymentListController
from kernapay.payments.merging.controller import CustomerMergeController
from kernapay.payments.public.controller import CheckoutController
from kernapay.payments.statements.controller import ProviderStatementController
from kernapay.reconciliation.controller import PaymentCheckController, ReconciliationController
from kernapay.security.authentication import BearerAuthentication
from kernapay.sessions.controller import LoginController, SessionController
from kernapay.sessions.second_factor.controller import SecondFactorController
from kernapay.settlements.controller import SettlementController
from kernapay.shop.controller import shop_pages
from kernapay.users.controller import SignUpController, UserController
from kernapay.verification.controller import PasswordController, VerificationController
from kernapay.web.access_log import AccessLog
from kernapay.web.handlers import parameter_names
from kernapay.web.headers import DOCS_PATH, SecurityHeaders
from kernapay.web.json_body import JSONRequest
from kernapay.web.long_answers import LongAnswers
from kernapay.web.middleware import RequestLayer
from kernapay.web.negotiation import NegotiatedCompression
from kernapay.web.openapi.assets import assets
from kernapay.web.openapi.config import openapi_config
from kernapay.web.openapi.webhooks import WEBHOOKS
from kernapay.web.parameters import QueryCheck
from kernapay.web.problems import HANDLERS
from kernapay.web.responses import show_controls_in
from kernapay.web.traced_requests import TracedRequests
from kernapay.web.trusted_hosts import LOCAL_HOSTS, LOCAL_ORIGIN, TrustedHosts
from kernapay.webhooks.controller import InboxController, WebhookController
from kernapay.webhooks.guards import HasWebhookSignature

_CONTROLLERS: Final = (
    SignUpController,
    LoginController,
    UserController,
    SessionController,
    SecondFactorController,
    VerificationController,
    PasswordController,
    StatementController,
    ProviderStatementController,
    ExportController,
    ExportJobController,
    ReceiptPageController,
    PaymentListController,
    PaymentController,
    CheckoutController,
    CheckoutPageController,
    LiveController,
    DisputeController,
    CustomerController,
    CustomerPaymentsController,
    CustomerMergeController,
    ClaimController,
    GrantController,
    InboxController,
    ReconciliationController,
    PaymentCheckController,
    SettlementController,
    EndpointController,
    DeliveryController,
    EventController,
    FileController,
    AdministrationController,
    PaymentSearchController,
    MismatchController,
    ApiKeyController,
    AuditController,
    ConsoleSessionController,
    ConsoleEnrolmentController,
    StoryController,
    AttentionController,
    InsightController,
    HealthController,
    HealthReportController,
    MetricsController,
)
# What works with the database. Health, metrics and documentation answer in any case.
_NEEDS_SCHEMA: Final = "/v1/api/"
# These answers are always small. A compressor would be created before the size of an answer is known.
_SMALL: Final = (
    r"^/(health|v1/api/(users|verification|payments/(create|verify|status|webhook)))(?!/sessions)"
)
_STREAMS: Final = r"^/v1/api/payments/[^/]+/events$"
# Wherever Litestar takes a path for that of a stream: it forgives doubled slashes, and one at the end.
_STREAMS_CONTAIN: Final = "/events"


def create_app(settings: Settings | None = None, services: Services | None = None) -> Litestar:
    """Return the application. Without arguments, the settings come from the environment."""
    settings = settings or load_settings()
    access_log = AccessLog(settings.log_level, logs.configure(settings.log_level))
    services = services or Services(settings)
    webhooks = Router(
        path="/",
        route_handlers=[WebhookController],
        guards=[HasWebhookSignature(settings.webhook_secrets)],
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with traced(settings, "kernapay-api"):
            await services.open()
            services.process_metrics.start()
            await services.schema_watch.start()
            services.background.start("report_stores", services.report_stores)
            services.background.start("report_account", services.report_account)
            services.outbox.start()
            try:
                yield
            finally:
                access_log.flush()
                await services.close()

    query_check = QueryCheck()

    async def check(request: Request[Any, Any, Any]) -> None:
        if request.scope["path"].startswith(_NEEDS_SCHEMA):
            services.schema_watch.require()
        query_check(request)

    cors = _cors(settings)
    app = Litestar(
        route_handlers=[
            *_CONTROLLERS,
            webhooks,
            assets(),
            page_files(),
            console_pages(),
            *shop_pages(settings),
            *guide_pages(),
        ],
        # Authenticates every request. A public route must opt out.
        middleware=[
            DefineMiddleware(
                BearerAuthentication,
                authenticate=services.authenticator,
                exclude=DOCS_PATH,
            ),
            DefineMiddleware(
                NegotiatedCompression, small=_SMALL, streams=_STREAMS, minimum_size=1000, level=5
            ),
        ],
        dependencies=services.dependencies(parameter_names([*_CONTROLLERS, WebhookController])),
        lifespan=[lifespan],
        state=State(
            {
                "require_verified": settings.require_verified,
                "rate_limiter": services.rate_limiter,
                WEBHOOKS: messages(),
            }
        ),
        before_request=check,
        exception_handlers=HANDLERS,
        openapi_config=openapi_config(),
        cors_config=cors,
        after_request=show_controls_in,
        request_class=JSONRequest,
        request_max_body_size=settings.body_limit,
        logging_config=None,
        debug=False,
    )
    query_check.learn(app)
    _wrap(app, settings, access_log, cors)
    return app


def _wrap(
    app: Litestar, settings: Settings, access_log: AccessLog, cors: CORSConfig | None
) -> None:
    """Put our ASGI layers around the application, the innermost first."""
    if settings.compat is not None:
        from kernapay.compat.contract import ExpressContract  # few processes need it

        app.asgi_handler = ExpressContract(app.asgi_handler, settings.body_limit)
    if settings.dev_stack:
        hosts = (*LOCAL_HOSTS, *settings.allowed_hosts)
        app.asgi_handler = TrustedHosts(app.asgi_handler, hosts, pages=cors)
    elif settings.allowed_hosts:
        app.asgi_handler = TrustedHosts(app.asgi_handler, settings.allowed_hosts)
    app.asgi_handler = RequestLayer(
        app,
        access_log,
        SecurityHeaders(checkout_sources(settings)),
        body_seconds=settings.body_timeout.total_seconds(),
        send_seconds=settings.send_timeout.total_seconds(),
    )
    if settings.tracing_url is not None:
        app.asgi_handler = TracedRequests(app.asgi_handler)
    app.asgi_handler = LongAnswers(
        app.asgi_handler, _STREAMS_CONTAIN, settings.send_timeout.total_seconds()
    )


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins and not settings.dev_stack:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_origin_regex=LOCAL_ORIGIN if settings.dev_stack else None,
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "X-Request-ID",
        ],
        expose_headers=[
            "Content-Disposition",
            "X-Request-ID",
            "Retry-After",
            "RateLimit-Limit",
            "RateLimit-Remaining",
            "RateLimit-Reset",
        ],
        max_age=600,
    )
