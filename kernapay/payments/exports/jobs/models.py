"""Exports that a worker makes, and that are fetched later."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, IntField, StringField

from kernapay.payments.exports.values import By, FileFormat, RowKind, Unit
from kernapay.storage.mongo import Choice, Record


class ExportState(StrEnum):
    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Export(Record):
    meta: ClassVar[dict[str, Any]] = {"collection": "exports"}

    period_from: datetime = DateTimeField(db_field="from", required=True)
    period_to: datetime = DateTimeField(db_field="to", required=True)
    form: FileFormat = Choice(FileFormat, db_field="format", required=True)
    unit: Unit = Choice(Unit, required=True)
    bom: bool = BooleanField(default=False)
    rows: RowKind | None = Choice(RowKind)
    by: By | None = Choice(By)
    totals: bool = BooleanField(default=False)
    state: ExportState = Choice(ExportState, required=True, default=ExportState.REQUESTED)
    requested_by: str = StringField(db_field="requestedBy", required=True)
    # The same for each attempt, so that a worker that died leaves no file that nobody knows.
    file_name: str = StringField(db_field="fileName", required=True)
    # How many lines are written so far.
    lines: int = IntField(default=0)
    lease_until: datetime | None = DateTimeField(db_field="leaseUntil")
    attempts: int = IntField(default=0)
    error: str | None = StringField()
    finished_at: datetime | None = DateTimeField(db_field="finishedAt")
    # When the row is deleted. Stored files are kept for a day.
    expires_at: datetime = DateTimeField(db_field="expiresAt", required=True)
