"""API keys by their account, their maker and the administrator who adopted them: a change of account ends them."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import OperationFailure

_INDEX_NOT_FOUND = 27
_INDEXES = {"account": "userId", "maker": "createdBy", "adopter": "adoptedBy"}


def up(db: Database[dict[str, Any]]) -> None:
    for name, field in _INDEXES.items():
        db.api_keys.create_index([(field, ASCENDING), ("revokedAt", ASCENDING)], name=name)


def down(db: Database[dict[str, Any]]) -> None:
    for name in _INDEXES:
        _drop_index(db, name)


def _drop_index(db: Database[dict[str, Any]], name: str) -> None:
    try:
        db.api_keys.drop_index(name)
    except OperationFailure as error:
        # A run that was killed after this step is repeated from its beginning.
        if error.code != _INDEX_NOT_FOUND:
            raise
