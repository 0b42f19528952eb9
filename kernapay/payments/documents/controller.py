"""HTTP for what people keep or hand on: payments received, receipts, exports."""

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from kernapay.files.base import MEDIA_TYPES, FileLink
from kernapay.payments.documents.exports import ExportService, read_instant
from kernapay.payments.documents.receipts import NoReceipt, ReceiptService
from kernapay.payments.dtos import ExportRequest, PaymentSummary
from kernapay.payments.parameters import Count, Cursor, Reference, Skip
from kernapay.payments.repository import PaymentRepository
from kernapay.security.guards import HasRole, SignedIn
from kernapay.security.principal import Authenticated, Role
from kernapay.web.openapi.responses import problems


class StatementController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]

    @get("/received", guards=[HasRole(Role.PROVIDER)])
    async def received(
        self,
        request: Authenticated,
        payment_repository: NamedDependency[PaymentRepository],
        count: Count = 10,
        skip: Skip = 0,
        cursor: Cursor = None,
    ) -> list[PaymentSummary]:
        """List what was paid to the calling provider, newest first."""
        return await payment_repository.received(request.user.id, count, skip, cursor)

    @get(
        "/{reference_id:str}/receipt",
        guards=[SignedIn()],
        media_type=MEDIA_TYPES["pdf"],
        responses=problems(NoReceipt),
    )
    async def receipt(
        self,
        request: Authenticated,
        reference_id: Reference,
        receipt_service: NamedDependency[ReceiptService],
    ) -> Response[bytes]:
        """Give the receipt of a paid payment as PDF, to those who may see the payment."""
        return Response(
            await receipt_service.receipt(request.user, reference_id),
            media_type=MEDIA_TYPES["pdf"],
            headers={"Content-Disposition": 'attachment; filename="receipt.pdf"'},
        )

    @post(
        "/{reference_id:str}/receipt",
        guards=[SignedIn()],
        status_code=200,
        responses=problems(NoReceipt),
    )
    async def receipt_link(
        self,
        request: Authenticated,
        reference_id: Reference,
        receipt_service: NamedDependency[ReceiptService],
    ) -> FileLink:
        """Give a link to the receipt that works for five minutes without a token, to be sent on."""
        return await receipt_service.store(request.user, reference_id)


class ExportController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [HasRole(Role.ADMIN)]

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
                description="The first moment: a day, or RFC 3339.",
            ),
        ],
        end: Annotated[
            str,
            QueryParameter(
                name="to",
                min_length=10,
                max_length=40,
                description="The moment that ends it, itself left out.",
            ),
        ],
    ) -> Stream:
        """Download the payments created between two times as CSV; `from` is inclusive, `to` is not.

        Both are days (`2026-01-31`, in UTC) or times with a zone (`2026-01-31T10:15:00Z`). Text that a spreadsheet
        would take for a formula has a `'` in front.
        """
        rows = await export_service.stream(
            request.user, read_instant(start, "from"), read_instant(end, "to")
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
        """Store the same export as a file, and give a link to it that works for five minutes."""
        return await export_service.store(
            request.user, read_instant(data.start, "from"), read_instant(data.end, "to")
        )
