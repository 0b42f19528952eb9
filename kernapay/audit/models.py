"""The audit_log collection: one entry per privileged action, written before the action."""

from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import ObjectIdField, StringField

from kernapay.storage.documents import Mapping
from kernapay.storage.mongo import Choice, Record


class Door(StrEnum):
    """The way by which an actor came in."""

    HTTP = "http"
    COMMAND_LINE = "command_line"
    WORKER = "worker"


class AuditEntry(Record):
    """A privileged action. If it fails, a second entry of the same operation has a `failure`."""

    meta: ClassVar[dict[str, Any]] = {"collection": "audit_log"}

    operation: str = StringField(required=True)
    actor: str = StringField(required=True)
    door: Door | None = Choice(Door)
    os_user: str | None = StringField(db_field="osUser")
    actor_role: str | None = StringField(db_field="actorRole")
    key_id: str | None = ObjectIdField(db_field="keyId")
    action: str = StringField(required=True)
    target: str | None = StringField()
    before: dict[str, Any] = Mapping(null=True)
    after: dict[str, Any] = Mapping(null=True)
    failure: str | None = StringField()
    request_id: str | None = StringField(db_field="requestId")
    client_request_id: str | None = StringField(db_field="clientRequestId")
