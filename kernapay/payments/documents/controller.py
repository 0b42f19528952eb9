"""The HTTP routes for payments received, receipts and exports."""

from typing import Annotated

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from kernapay.files.base import MEDIA_TYPES, FileLink
from kernapay.payments.documents.exports import ExportService
from kernapay.payments.documents.receipts import NoReceipt, ReceiptService
from kernapay.payments.dtos import ExportRequest, PaymentSummary
from kernapay.payments.parameters import Count, Cursor, Reference, Skip
from kernapay.payments.repository import PaymentRepository
from kernapay.security.guards import AnyRole, HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import problems


class StatementController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]

    @get("/received", guards=[HasRole(Role.PROVIDER), HasScope(Scope.PAYMENTS_READ)])
    async def received(
        self,
        request: Authenticated,
        payment_repository: NamedDependency[PaymentRepository],
        count: Count = 10,
        skip: Skip = 0,
        cursor: Cursor = None,
    ) -> list[PaymentSummary]:
        """List the payments that the calling provider received, newest first."""
        return await payment_repository.received(request.user.id, count, skip, cursor)

    @get(
        "/{reference_id:str}/receipt",
        guards=[AnyRole(), HasScope(Scope.PAYMENTS_READ), RateLimited("receipt")],
        media_type=MEDIA_TYPES["pdf"],
        responses=problems(NoReceipt),
    )
    async def receipt(
        self,
        request: Authenticated,
        reference_id: Reference,
        receipt_service: NamedDependency[ReceiptService],
    ) -> Response[bytes]:
        """Return the receipt of a paid payment as PDF. Whoever may read the payment may read its receipt."""
        return Response(
            await receipt_service.receipt(request.user, reference_id),
            media_type=MEDIA_TYPES["pdf"],
            headers={"Content-Disposition": 'attachment; filename="receipt.pdf"'},
        )

    @post(
        "/{reference_id:str}/receipt",
        guards=[AnyRole(), HasScope(Scope.PAYMENTS_READ), RateLimited("receipt")],
        status_code=200,
        responses=problems(NoReceipt),
    )
    async def receipt_link(
        self,
        request: Authenticated,
        reference_id: Reference,
        receipt_service: NamedDependency[ReceiptService],
    ) -> FileLink:
        """Store the receipt and return a link to it. The link works without a token, for five minutes."""
        return await receipt_service.store(request.user, reference_id)


class ExportController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [HasRole(Role.ADMIN), HasScope(Scope.REPORTS_READ), RateLimited("export")]

    @get("/export", media_type=MEDIA_TYPES["csv"])
    async def export(
        self,
        request: Authenticated,
        export_service: NamedDependency[ExportService],
        start: Annotated[
            str,
            QueryParameter(
                name="from",
                min_length=10,
                max_length=40,
                description="The start, inclusive: a day, or a time as in RFC 3339.",
            ),
        ],
        end: Annotated[
            str,
            QueryParameter(
                name="to",
                min_length=10,
                max_length=40,
                description="The end, exclusive: a day, or a time as in RFC 3339.",
            ),
        ],
    ) -> Stream:
        """Download the payments created between two times as CSV. `from` is inclusive, `to` is not.

        Both are days (`2026-01-31`, of the business: BUSINESS_TIMEZONE) or times with a zone
        (`2026-01-31T10:15:00Z`). Text that a spreadsheet would run as a formula is prefixed with `'`.
        """
        rows = await export_service.stream(
            request.user,
            export_service.read_instant(start, "from"),
            export_service.read_instant(end, "to"),
        )
        return Stream(
            rows,
            media_type=MEDIA_TYPES["csv"],
            headers={"Content-Disposition": 'attachment; filename="payments.csv"'},
        )

    @post("/exports")
    async def export_file(
        self,
        request: Authenticated,
        data: JSONBody[ExportRequest],
        export_service: NamedDependency[ExportService],
    ) -> FileLink:
        """Store an export as a file and return a link to it. The link works without a token, for five minutes."""
        return await export_service.store(
            request.user,
            export_service.read_instant(data.start, "from"),
            export_service.read_instant(data.end, "to"),
        )
