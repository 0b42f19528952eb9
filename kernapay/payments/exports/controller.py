"""The HTTP routes for exports."""

from typing import Annotated, Final

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from kernapay.files.base import MEDIA_TYPES, FileLink
from kernapay.payments.exports.dtos import ExportRequest
from kernapay.payments.exports.service import ExportService
from kernapay.payments.exports.values import By, FileFormat, RowKind, Unit
from kernapay.security.guards import HasRole, HasScope
from kernapay.security.principal import Authenticated, Role, Scope
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get, post
from kernapay.web.openapi.responses import OTHER_FORMS

_OTHER_FORMS: Final = {OTHER_FORMS: (MEDIA_TYPES["jsonl"], MEDIA_TYPES["xlsx"])}
_DAY_OR_TIME: Final = "a day, or a time as in RFC 3339."
Start = Annotated[
    str,
    QueryParameter(
        name="from",
        min_length=10,
        max_length=40,
        description=f"The start, inclusive: {_DAY_OR_TIME}",
    ),
]
End = Annotated[
    str,
    QueryParameter(
        name="to", min_length=10, max_length=40, description=f"The end, exclusive: {_DAY_OR_TIME}"
    ),
]
Format = Annotated[
    FileFormat,
    QueryParameter(
        name="format",
        description="`csv`; `jsonl`, one JSON object on each line; or `xlsx`, an Excel workbook.",
    ),
]
UnitOfAmounts = Annotated[
    Unit,
    QueryParameter(
        name="unit",
        description="`minor`: amounts in paise. `major`: in rupees, with all decimals of their currency.",
    ),
]
ByteOrderMark = Annotated[
    bool,
    QueryParameter(
        name="bom",
        description="For CSV: begin with a byte order mark, so that Excel shows the letters of all scripts.",
    ),
]
Rows = Annotated[
    RowKind | None,
    QueryParameter(
        name="rows",
        description="What the lines are: `payments`, `refunds`, `disputes`, `credit_notes`, or `settlements` for the "
        "rows of the transfers to the bank account. Without it, they are payments, without the column `net`.",
    ),
]
TimeThatCounts = Annotated[
    By | None,
    QueryParameter(
        name="by",
        description="Which time of a line counts. Payments: `created`, `paid` or `settled`. Refunds: `created` or "
        "`settled`. Disputes and credit notes: `created`. Settlements: `settled`, or `paid` for when what they pay out "
        "was made.",
    ),
]
Totals = Annotated[
    bool,
    QueryParameter(
        name="totals",
        description="End with what the lines add up to, by currency and status or, of settlements, type. A file that "
        "does not end so was cut off.",
    ),
]


async def read_request(
    start: Start,
    end: End,
    form: Format = FileFormat.CSV,
    unit: UnitOfAmounts = Unit.MINOR,
    bom: ByteOrderMark = False,
    rows: Rows = None,
    by: TimeThatCounts = None,
    totals: Totals = False,
) -> ExportRequest:
    """Return what the query asks for."""
    return ExportRequest(start, end, form, unit, bom, rows, by, totals)


class ExportController(Controller):
    path = "/v1/api/payments"
    tags = ["Payments"]
    guards = [HasRole(Role.ADMIN), HasScope(Scope.REPORTS_READ), RateLimited("export")]

    @get(
        "/export",
        media_type=MEDIA_TYPES["csv"],
        dependencies={"wanted": Provide(read_request)},
        opt=_OTHER_FORMS,
    )
    async def export(
        self,
        request: Authenticated,
        export_service: NamedDependency[ExportService],
        wanted: NamedDependency[ExportRequest],
    ) -> Stream:
        """Download the payments, refunds, disputes or settlements of a period. `from` is inclusive, `to` is not.

        Both are days (`2026-01-31`, of the business: BUSINESS_TIMEZONE) or times with a zone
        (`2026-01-31T10:15:00Z`). In CSV, text that a spreadsheet would run as a formula is prefixed with `'`; in a
        workbook, it is a cell of text.
        """
        chunks = await export_service.stream(request.user, wanted)
        form, kind = wanted.form.value, (wanted.rows or RowKind.PAYMENTS).value
        headers = {"Content-Disposition": f'attachment; filename="{kind}.{form}"'}
        if wanted.form is not FileFormat.CSV:
            # Litestar: the route's own media type goes before that of a stream.
            headers["Content-Type"] = MEDIA_TYPES[form]
        return Stream(chunks, headers=headers)

    @post("/exports")
    async def export_file(
        self,
        request: Authenticated,
        data: JSONBody[ExportRequest],
        export_service: NamedDependency[ExportService],
    ) -> FileLink:
        """Store an export as a file and return a link to it. The link works without a token, for five minutes."""
        return await export_service.store(request.user, data)
