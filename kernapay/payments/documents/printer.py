"""Draw sheets in the pool, and remember the last documents by their content."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, TypeVar

import msgspec

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.business_days import BusinessDays
from kernapay.payments.documents import page
from kernapay.payments.documents.checks import check_page
from kernapay.payments.documents.models import Paper
from kernapay.payments.documents.sheet import Sheet
from kernapay.payments.models import Payment

# At 25 kB each, some megabytes for each process.
_REMEMBERED: Final = 128

Form = Literal["pdf", "html"]
SheetT = TypeVar("SheetT", bound=msgspec.Struct)


class Printer:
    def __init__(self, pool: Bulkhead) -> None:
        self._pool = pool
        self._last: OrderedDict[bytes, bytes] = OrderedDict()

    async def check(self, paper: Paper, payment: Payment, days: BusinessDays) -> bytes:
        """Return the page behind a document's QR code. Raises Unavailable."""
        return await self._pool.run(check_page, paper, payment, days)

    async def produce(self, sheet: Sheet, form: Form) -> bytes:
        """Return the sheet as a document: the same bytes for the same texts. Raises Unavailable."""
        return await self.draw(form, sheet, _draw_pdf if form == "pdf" else page.write)

    async def draw(self, kind: str, sheet: SheetT, draw: Callable[[SheetT], bytes]) -> bytes:
        """Return what `draw` makes of a sheet, in the pool. `kind` names what it makes. Raises Unavailable."""
        key = hashlib.sha256(kind.encode() + msgspec.msgpack.encode(sheet)).digest()
        if key in self._last:
            self._last.move_to_end(key)
            return self._last[key]
        document = await self._pool.run(draw, sheet)
        self._last[key] = document
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        return document


def _draw_pdf(sheet: Sheet) -> bytes:
    from kernapay.payments.documents import pdf  # here, because the import takes half a second

    return pdf.draw(sheet)
