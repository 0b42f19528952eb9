"""The settings of the OpenAPI document, and of Swagger UI from local files."""

import asyncio
from typing import Any, Final

from litestar import Request, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme, Server, Tag
from litestar.types import Method

from kernapay import __version__
from kernapay.web.headers import DOCS_PATH
from kernapay.web.openapi.access import BEARER_SCHEME, KEY_SCHEME
from kernapay.web.openapi.assets import ASSETS_PATH
from kernapay.web.openapi.document import write_document

_DESCRIPTION: Final = """\
Payments through Razorpay that are never lost, doubled or misreported.

1. `POST /v1/api/users/signup`, then `POST /v1/api/users/login`; put the token into **Authorize**.
2. `POST /v1/api/payments/create` with an `idempotencyKey` of your own. Repeating the call is safe.
3. Open Razorpay Checkout with the `orderId` of the answer.
4. `POST /v1/api/payments/verify` with the three values that Checkout passes to your page's `handler`.

Amounts are integers in the currency's smallest unit: 50000 is ₹500.00. Times are UTC. Errors are
`application/problem+json` (RFC 9457).

`HEAD` works wherever `GET` does, and `OPTIONS` names a path's methods. Any request may be refused with 400 when a
header that means one value comes twice, and with 406 when `Accept-Encoding` allows neither gzip nor identity.
"""


# The document is the same everywhere, so it knows no address of an installation.
_SERVERS: Final = (
    Server(url="/", description="The service that this document is from"),
    Server(url="http://127.0.0.1:3000", description="`kernapay dev` on your machine"),
)


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="KernaPay",
        version=__version__,
        description=_DESCRIPTION,
        license=License(name="MIT", identifier="MIT"),
        contact=Contact(name="KernaPay"),
        servers=list(_SERVERS),
        openapi_router=Router(
            DOCS_PATH, route_handlers=[], include_in_schema=False, before_request=_write_first
        ),
        operation_id_creator=_operation_id,
        use_handler_docstrings=True,
        tags=[
            Tag(name="Users", description="Accounts, sign-in and sign-out."),
            Tag(
                name="Verification",
                description="Confirm e-mail address and mobile number with codes.",
            ),
            Tag(name="Payments", description="Create, verify and look up payments."),
            Tag(name="Customers", description="Whom shops sell to: people without accounts here."),
            Tag(name="Disputes", description="What customers' banks question or take back."),
            Tag(name="Webhooks", description="Events from the gateway."),
            Tag(
                name="Deliveries",
                description="What changed here, as events: listed, and sent to the endpoints of businesses, signed by "
                "the Standard Webhooks specification.",
            ),
            Tag(name="Files", description="Receipts and exports."),
            Tag(
                name="Administration",
                description="Accounts, API keys and the audit log. An API key without scopes may read accounts and the "
                "log; only a signed-in administrator may change them.",
            ),
            Tag(
                name="Reconciliation", description="Compare KernaPay's records with the gateway's."
            ),
            Tag(
                name="Settlements",
                description="What reached the bank account, row by row and day by day.",
            ),
            Tag(
                name="Console",
                description="The session of the operators' pages at `/console`, which use this API.",
            ),
            Tag(name="Operations", description="Health and metrics."),
        ],
        components=Components(
            security_schemes={
                BEARER_SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="The `token` of the login answer.",
                ),
                KEY_SCHEME: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key of a back end. It needs the scope that each operation names; a key "
                    "without scopes may do all that its role may.",
                ),
                "WebhookSignature": SecurityScheme(
                    type="apiKey",
                    name="X-Razorpay-Signature",
                    security_scheme_in="header",
                    description="HMAC-SHA256 of the raw body with the webhook secret, in hex.",
                ),
            }
        ),
        security=[{BEARER_SCHEME: []}],
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
                css_url=f"{ASSETS_PATH}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS_PATH}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" href="{ASSETS_PATH}/favicon-32x32.png">',
            )
        ],
    )


async def _write_first(request: Request[Any, Any, Any]) -> None:
    await asyncio.to_thread(write_document, request.app)


def _operation_id(handler: HTTPRouteHandler, _: Method, __: list[Any]) -> str:
    """Return `payments_create` for `PaymentController.create`."""
    resource = (sorted(handler.resolve_tags()) or ["kernapay"])[0].lower()
    return f"{resource}_{handler.handler_name}"
