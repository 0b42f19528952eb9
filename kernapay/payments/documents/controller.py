"""The HTTP routes for payments received, receipts and credit notes."""

from typing import Annotated, Final

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import PathParameter, QueryParameter

from kernapay.core.patterns import explain
from kernapay.files.base import MEDIA_TYPES, FileLink
from kernapay.payments.documents import checks
from kernapay.payments.documents.links import CODE_LENGTH, PATH, TOKEN_LENGTH
from kernapay.payments.documents.page import policy_of
from kernapay.payments.documents.printer import Form
from kernapay.payments.documents.receipts import NoCreditNote, NoReceipt, ReceiptService
from kernapay.payments.dtos import PaymentSummary
from kernapay.payments.parameters import Count, Cursor, Reference, Skip
from kernapay.payments.repository import PaymentRepository
from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import AnyRole, HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import OTHER_FORMS, problems

_HTML: Final = {OTHER_FORMS: (MediaType.HTML.value,)}
DocumentForm = Annotated[
    Form,
    QueryParameter(
        name="format", description="`pdf`, or `html`: a page with the same texts, without script."
    ),
]
RefundId = Annotated[
    str,
    PathParameter(
        pattern=explain("^rfnd_[A-Za-z0-9]{1,40}$", "the id of a refund, which starts with rfnd_"),
        max_length=64,
        description="The `refundId` of a refund of this payment.",
    ),
]
LinkToken = Annotated[
    str,
    PathParameter(pattern=explain(rf"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}$", "the end of a link")),
]
PaperCode = Annotated[
    str,
    PathParameter(pattern=explain(rf"^[A-Za-z0-9_-]{{{CODE_LENGTH}}}$", "the code of a paper")),
]


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
        opt=_HTML,
    )
    async def receipt(
        self,
        request: Authenticated,
        reference_id: Reference,
        receipt_service: NamedDependency[ReceiptService],
        form: DocumentForm = "pdf",
    ) -> Response[bytes]:
        """Return the receipt of a paid payment. Whoever may read the payment may read its receipt.

        Its number is given once, and the document stays the same until a refund changes it.
        """
        receipt = await receipt_service.receipt(request.user, reference_id, form)
        return _answer(receipt, form, "receipt")

    @get(
        "/{reference_id:str}/refunds/{refund_id:str}/note",
        guards=[AnyRole(), HasScope(Scope.PAYMENTS_READ), RateLimited("receipt")],
        media_type=MEDIA_TYPES["pdf"],
        responses=problems(NoReceipt, NoCreditNote),
        opt=_HTML,
    )
    async def credit_note(
        self,
        request: Authenticated,
        reference_id: Reference,
        refund_id: RefundId,
        receipt_service: NamedDependency[ReceiptService],
        form: DocumentForm = "pdf",
    ) -> Response[bytes]:
        """Return the credit note of a processed refund. Whoever may read the payment may read it."""
        note = await receipt_service.credit_note(request.user, reference_id, refund_id, form)
        return _answer(note, form, "credit-note")

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
        form: DocumentForm = "pdf",
    ) -> FileLink:
        """Return a link to the receipt, as a stored file or as a page. It works without a token, for five minutes."""
        if form == "html":
            return await receipt_service.link(request.user, reference_id)
        return await receipt_service.store(request.user, reference_id)


class ReceiptPageController(Controller):
    """Public: the link is the permission."""

    path = PATH
    opt = {PUBLIC: True}
    security = [{}]
    include_in_schema = False
    guards = [RateLimited("status")]

    @get("/{token:str}")
    async def page(
        self, token: LinkToken, receipt_service: NamedDependency[ReceiptService]
    ) -> Response[bytes]:
        """Show a receipt to the bearer of a link."""
        found = await receipt_service.page(token)
        return _page(checks.ended_page(), 403) if found is None else _page(found)

    @get("/check/{code:str}")
    async def check(
        self, code: PaperCode, receipt_service: NamedDependency[ReceiptService]
    ) -> Response[bytes]:
        """Return what a receipt or credit note says. Its link is the proof."""
        found = await receipt_service.check(code)
        return _page(checks.no_paper_page(), 404) if found is None else _page(found)


def _answer(document: bytes, form: Form, name: str) -> Response[bytes]:
    if form == "html":
        return _page(document)
    return Response(
        document,
        media_type=MEDIA_TYPES["pdf"],
        headers={"Content-Disposition": f'attachment; filename="{name}.pdf"'},
    )


def _page(document: bytes, status: int = 200) -> Response[bytes]:
    return Response(
        document,
        media_type=MediaType.HTML,
        status_code=status,
        headers={"Content-Security-Policy": policy_of(document)},
    )
