"""What an earlier version has written: its database, the books of its sandbox, and what a test has to know of them."""

import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import bson
import msgspec
from bson.codec_options import CodecOptions

from tests.aliases import Json, Store

DATA: Final = Path(__file__).with_name("data")
_SANDBOX: Final = "sandbox.sqlite"
_FACTS: Final = "facts.json"
_NEAR_SECONDS: Final = 90 * 24 * 3600
_AWARE: Final[CodecOptions[Any]] = CodecOptions(tz_aware=True)


class Facts(msgspec.Struct, forbid_unknown_fields=True):
    """`payments` are by name, as the API answered when they were created."""

    commit: str
    at: datetime
    emails: dict[str, str]
    payments: dict[str, Json]


class Dump:
    def __init__(self, path: Path) -> None:
        self._path = path
        with zipfile.ZipFile(path) as archive:
            self.facts = msgspec.json.decode(archive.read(_FACTS), type=Facts)

    def restore(self, store: Store, written: datetime) -> None:
        """Fill an empty database, with the indexes that it had, as if it had been written at this time.

        What a test sees of it must not change with the years.
        """
        age = written - self.facts.at
        with zipfile.ZipFile(self._path) as archive:
            for name in archive.namelist():
                if not name.endswith(".bson"):
                    continue
                indexes, *rows = bson.decode_all(archive.read(name), _AWARE)
                collection = store[Path(name).stem]
                if rows:
                    collection.insert_many(_moved(rows, age))
                if indexes["indexes"]:
                    command = {"createIndexes": collection.name, "indexes": indexes["indexes"]}
                    store.command(command)

    def restore_books(self, path: Path, written: datetime) -> None:
        """Write the file of the sandbox, as if it had been written at this time."""
        with zipfile.ZipFile(self._path) as archive:
            path.write_bytes(archive.read(_SANDBOX))
        day = self.facts.at.timestamp()
        _move_books(path, day, int(written.timestamp() - day))


def write(path: Path, store: Store, sandbox: Path, facts: Facts) -> None:
    """Pack everything into one file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(_FACTS, msgspec.json.format(msgspec.json.encode(facts)))
        archive.writestr(_SANDBOX, sandbox.read_bytes())
        for name in sorted(store.list_collection_names(filter={"type": "collection"})):
            if not name.startswith("system."):
                indexes = [
                    _without(index, "v", "ns")
                    for index in store[name].list_indexes()
                    if index["name"] != "_id_"
                ]
                rows: list[Mapping[str, Any]] = [{"indexes": indexes}, *store[name].find()]
                archive.writestr(f"{name}.bson", b"".join(map(bson.encode, rows)))


def _without(index: Mapping[str, Any], *names: str) -> Json:
    return {name: value for name, value in index.items() if name not in names}


def _moved(value: Any, age: timedelta) -> Any:
    if isinstance(value, datetime):
        return value + age
    if isinstance(value, Mapping):
        return {name: _moved(each, age) for name, each in value.items()}
    return [_moved(each, age) for each in value] if isinstance(value, list) else value


def _move_books(sandbox: Path, written: float, seconds: int) -> None:
    """Move the times in the rows of a sandbox: the numbers that are seconds of about that day."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: moved(each) for name, each in value.items()}
        if isinstance(value, list):
            return [moved(each) for each in value]
        is_time = isinstance(value, int | float) and abs(value - written) < _NEAR_SECONDS
        return value + seconds if is_time else value

    with closing(sqlite3.connect(sandbox)) as connection, connection:
        for position, body in connection.execute("SELECT position, body FROM entries").fetchall():
            change = (msgspec.json.encode(moved(msgspec.json.decode(body))), position)
            connection.execute("UPDATE entries SET body = ? WHERE position = ?", change)
