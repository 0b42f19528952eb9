"""The documents of the database, as classes."""

import importlib
from collections.abc import Iterator

import mongoengine
from mongoengine.base import BaseDocument

from kernapay.storage.mongo import Record
from tests.checkout import PACKAGE, module_of


def subclasses_of(base: type) -> Iterator[type]:
    """Yield the subclasses, and theirs."""
    children: list[type] = base.__subclasses__()
    for child in children:
        yield child
        yield from subclasses_of(child)


def every_document() -> list[type[BaseDocument]]:
    """Return the documents and embedded documents of every model module."""
    for path in PACKAGE.glob("**/models.py"):
        importlib.import_module(module_of(path))
    found: list[type[BaseDocument]] = [
        *subclasses_of(Record),
        *subclasses_of(mongoengine.EmbeddedDocument),
    ]
    return [
        model
        for model in found
        if model.__module__.startswith("kernapay.") and not model._meta.get("abstract")
    ]
