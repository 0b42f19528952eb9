"""Every query that the tests make the service send, judged: an index has to serve each, and no update may add a step to
a payment's history without the marker for the relay.

MongoDB's profiler notes the queries of all processes that use the session's mongod. At the end of the session, each
shape is explained, on rows of its own.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bson import json_util

from kernapay.storage.mongo import APP_NAME
from tests.aliases import Json, Store
from tests.near_misses import DATABASE, Judge
from tests.query_shapes import Query, UnknownQuery, query_of
from tests.untold_steps import leaves_untold

PROFILE: Final = "system.profile"
# Enough for the queries of one module of tests; then they are collected.
_BYTES: Final = 32 * 2**20
# Migrations, the doctor and the tests themselves connect under another name.
FILTER: Final[Json] = {
    "appName": APP_NAME,
    "op": {"$in": ["query", "command", "update", "remove"]},
    # Only what searches has a plan, and a search by `_id` alone is always served.
    "planSummary": {"$exists": True, "$ne": "IDHACK"},
}
MONGOD_OPTIONS: Final = ("--profile", "1", "--profileFilter", json_util.dumps(FILTER))
_BY_PREFIX: Final = "$or: [{email: {$gte: …, $lt: …}} | {nameFolded: {$gte: …, $lt: …}}]"
_SEARCHES: Final = (
    f"{{{_BY_PREFIX}",
    f"{{isApprovedProvider: True, {_BY_PREFIX}",
    f"{{isApprovedProvider: {{$in: [False | None]}}, {_BY_PREFIX}",
)
_OF_CUSTOMER: Final = "customerId: …, metadataHashes: …"
EXEMPT: Final[Mapping[str, str]] = {
    "cache_drops find {}": "whatever waits there is wanted, in any order; it is empty but in an outage",
    "migrations find {}": "a few rows, all of them wanted",
    "deliveries find {_id: {$in: […]}, $expr": "the ids name the rows; the rest only decides about each of them",
    "endpoints find {_id: {$in: […]}, $expr": "likewise",
    "payments find {_id: {$in: […]}, history: {$size": "likewise",
    "payments find {_id: {$in: […]}, status: {$in": "likewise",
    "payments find {userId: {$in: […]}, createdAt: {$not: {$gte: …}}, $expr:": (
        "the range has rows of other systems alone, whose time is a text; the rest decides about each of them"
    ),
    "payments find {status: {$in: […]}, updatedAt: {$gte: …, $lt: …}, announce: None, $expr:": (
        "it looks through what changed in a night, and finds nothing unless steps were left untold"
    ),
    **dict.fromkeys(
        (f"payments find {{{payer}{_OF_CUSTOMER}" for payer in ("", "userId: {$in: […]}, ")),
        "a customer has few payments: each of them is looked at for its metadata",
    ),
    **dict.fromkeys(
        (
            f"payments find {{announce: {{$gt: …}}, createdAt: {{$gte: …, $lt: …}}{payee}}} with announce"
            for payee in ("", ", payeeId: …")
        ),
        "only payments that wait for the relay have an entry, and that is for seconds; up to 10,000 are looked at",
    ),
    "unit_": "collections of tests alone, which no migration knows",
    **dict.fromkeys(
        (f"users {verb} {where}" for verb in ("find", "count") for where in _SEARCHES),
        "an administrator's search reads whoever's address or name begins so, for eight seconds at most",
    ),
}
"""How the shapes begin that no index serves, each with the reason why that is right."""


class QueryRecorder:
    """Collects the queries that the profiler notes. One for the whole session is `recorder`."""

    def __init__(self) -> None:
        self._database: Store | None = None
        self._queries: dict[str, tuple[Query, str]] = {}
        self._unknown: dict[str, str] = {}
        self._untold: set[str] = set()
        self._seen_until: dict[str, datetime] = {}

    def watch(self, database: Store) -> None:
        """Let the profiler note more than the usual megabyte of the database that most tests use."""
        database.command("profile", 0)
        database.create_collection(PROFILE, capped=True, size=_BYTES)
        database.command("profile", 1)
        self._database = database

    def collect(self, sender: str, database: Store | None = None) -> None:
        """Add what was noted since the last call. `sender` is who sent it, for the message."""
        database = self._database if database is None else database
        if database is None:
            return  # no server was started yet
        since = self._seen_until.get(database.name, datetime.fromtimestamp(0, UTC))
        where = {**FILTER, "ts": {"$gte": since}}
        for entry in database[PROFILE].find(where, {"ns": 1, "op": 1, "command": 1, "ts": 1}):
            self._seen_until[database.name] = entry["ts"]
            self._add(entry, sender)

    def collect_rest(self) -> None:
        """Add what was noted in any database of the server."""
        assert self._database is not None
        client = self._database.client
        for name in client.list_database_names():
            self.collect("a test", client[name])

    def judge(self, claim: Callable[[str], bool] = lambda _: True) -> list[str]:
        """Return each kind of query that no index serves, with what is wrong and who sent it first.

        `claim` says whether a kind is this test worker's to judge: one of them is enough, as it takes a while.
        """
        assert self._database is not None
        client = self._database.client
        judge = Judge(client)
        offences = [f"{kind} ({sender}): not judged yet" for kind, sender in self._unknown.items()]
        offences += [f"an update ({sender}) adds a step, and no marker" for sender in self._untold]
        for shape, (query, sender) in sorted(self._queries.items()):
            if shape.startswith(tuple(EXEMPT)) or not claim(shape):
                continue
            try:
                faults = judge.faults_of(query)
            except UnknownQuery as error:
                faults = [f"{error} is not judged yet"]
            if faults:
                offences.append(f"{shape} ({sender}): {' and '.join(faults)}")
        client.drop_database(DATABASE)
        return offences

    def _add(self, entry: Mapping[str, Any], sender: str) -> None:
        if leaves_untold(entry):
            self._untold.add(sender)
        try:
            query = query_of(entry)
        except UnknownQuery as error:
            self._unknown.setdefault(str(error), sender)
            return
        if query is not None:
            self._queries.setdefault(query.shape, (query, sender))


recorder = QueryRecorder()
