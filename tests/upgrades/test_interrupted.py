"""An upgrade that was killed anywhere is run again, and ends as one that was not."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest

from kernapay.core.clock import now
from kernapay.devstack.servers import MongoServer
from kernapay.storage.migrations import Migrator
from kernapay.storage.schema import APPLIED
from tests.aliases import Json, Store
from tests.checkout import ROOT
from tests.databases import open_store
from tests.stack import bare_environment
from tests.upgrades.dumps import DATA, Dump

pytestmark = pytest.mark.long

DIED: Final = 9
# More than one migration writes here: each run comes further than the one before.
LIVES: Final = (17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
# Dies before the nth command that writes: what was sent before it was done.
PROGRAM: Final = """
import os, sys
from pymongo import monitoring
from kernapay.storage.migrations import Migrator
from kernapay.storage.mongo import open_database

class Killer(monitoring.CommandListener):
    left = int(sys.argv[2])
    def started(self, event):
        if event.command_name in ("insert", "update", "delete", "findAndModify", "createIndexes", "dropIndexes"):
            self.left -= 1
            if self.left == 0:
                os._exit(9)
    def succeeded(self, event): pass
    def failed(self, event): pass

monitoring.register(Killer())
Migrator(open_database(sys.argv[1])[1]).up()
"""


def upgrade(url: str, writes: int) -> int:
    """Migrate in a process that dies before this write, counted from 1. Return its exit code."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, str(writes)],
        env={**bare_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode in (0, DIED), ran.stderr
    return ran.returncode


def contents(store: Store) -> dict[str, tuple[list[Json], Any]]:
    """Return the rows and the indexes of every collection, without the times at which it was migrated."""
    found = {}
    for name in sorted(store.list_collection_names(filter={"type": "collection"})):
        if name.startswith("system.") or name == "migrations_lock":
            continue
        rows = list(store[name].find({}, {"appliedAt": 0, "eventsSince": 0}).sort("_id"))
        found[name] = (rows, store[name].index_information())
    return found


def test_an_upgrade_that_dies_again_and_again_ends_as_one_that_does_not(
    mongo_server: MongoServer, fresh_database: Callable[[], str]
) -> None:
    dump, written = Dump(min(DATA.glob("*.zip"))), now()
    url = mongo_server.database_url(fresh_database())
    with open_store(url) as killed:
        dump.restore(killed, written)
        applied = []
        for life in LIVES:
            if upgrade(url, life) == 0:
                break
            # Nobody waits half a minute for the lock of the dead.
            killed.migrations_lock.delete_many({})
            applied.append(killed[APPLIED].count_documents({"appliedAt": {"$ne": None}}))
        else:
            pytest.fail("it never came to its end")
        assert len(set(applied)) >= 5, applied
        assert killed[APPLIED].count_documents({"appliedAt": None}) == 0
        assert Migrator(killed).restore_indexes() == []
        with open_store(mongo_server.database_url(fresh_database())) as whole:
            dump.restore(whole, written)
            Migrator(whole).up()
            assert contents(killed) == contents(whole)
            whole.client.drop_database(whole.name)
        killed.client.drop_database(killed.name)
