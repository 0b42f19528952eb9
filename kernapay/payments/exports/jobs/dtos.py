"""An export that a worker makes, as a client sees it."""

from typing import Annotated

from msgspec import Meta, Struct, field

from kernapay.core.clock import Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.payments.exports.jobs.models import ExportState
from kernapay.payments.exports.values import By, FileFormat, RowKind, Unit


class ExportView(Struct, rename="camel", kw_only=True):
    """An export. `lines` counts what is written so far. It goes, with its file, at `expiresAt`."""

    id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])] = field(name="_id")
    state: Annotated[ExportState, Meta(examples=["done"])]
    lines: Annotated[int, Meta(examples=[1200])] = 0
    period_from: Instant = field(name="from")
    period_to: Instant = field(name="to")
    form: Annotated[FileFormat, Meta(examples=["xlsx"])] = field(name="format")
    unit: Annotated[Unit, Meta(examples=["major"])]
    bom: Annotated[bool, Meta(examples=[False])] = False
    rows: Annotated[RowKind | None, Meta(examples=["settlements"])] = None
    by: Annotated[By | None, Meta(examples=["settled"])] = None
    totals: Annotated[bool, Meta(examples=[True])] = False
    created_at: Instant
    finished_at: Instant | None = None
    expires_at: Instant
    error: str | None = None
