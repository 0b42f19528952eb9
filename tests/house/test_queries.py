"""The recorder of queries finds those that no index serves, and no others."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from kernapay.devstack.servers import MongoServer
from kernapay.storage.mongo import Mongo, database
from tests.aliases import Json, Store
from tests.near_misses import Judge
from tests.query_recorder import QueryRecorder
from tests.query_shapes import Query

AT = datetime(2026, 1, 31, tzinfo=UTC)
NEWEST = {"createdAt": -1, "referenceId": -1}


@pytest.fixture
def planted(mongo_server: MongoServer) -> Iterator[Store]:
    """A database of the session's mongod, over the service's own connection: under its name."""
    mongo = Mongo(mongo_server.database_url("planted"), threads=1)
    mongo.connect()
    yield database()
    database().client.drop_database("planted")
    mongo.close()


def test_a_planted_query_is_found_whatever_rows_it_met(planted: Store) -> None:
    recorder = QueryRecorder()
    recorder.watch(planted)
    payments = planted.payments
    payments.find_one({"orderId": "order_1"})
    payments.find_one({"description": "a book"})
    payments.update_one({"paymentMethod": "card"}, {"$set": {"amount": 1}})
    payments.delete_many({"fee": {"$gt": 5}})
    payments.count_documents({"notes.cart": "42"})
    payments.find_one_and_update({"tax": 1}, {"$set": {"amount": 1}}, sort=[("createdAt", 1)])
    list(payments.find({"userId": ObjectId()}).sort("amount"))
    list(payments.find({"orderId": {"$regex": "^order"}}))
    recorder.collect("here")
    every_row = "reads the whole collection and reads 21 rows for 5"
    assert recorder.judge() == [
        f"payments count {{notes.cart: …}} (here): {every_row.replace('21', '25')}",
        f"payments find {{description: …}} (here): {every_row}",
        f"payments find {{fee: {{$gt: …}}}} (here): {every_row}",
        "payments find {orderId: {$regex: …}} (here): the operator $regex is not judged yet",
        f"payments find {{paymentMethod: …}} (here): {every_row}",
        "payments find {tax: …} by createdAt (here): reads 21 rows for 5",
        "payments find {userId: …} by amount (here): sorts in memory",
    ]


@pytest.fixture(scope="module")
def judge(mongo_server: MongoServer) -> Iterator[Callable[..., list[str]]]:
    """Return what is wrong with a query on the real indexes: `judge("payments", {...}, order={...})`."""
    with mongo_server.client() as client:
        judge = Judge(client)

        def faults_of(
            collection: str, where: Json, order: Json | None = None, *, is_count: bool = False
        ) -> list[str]:
            query = Query(collection, where, order or {}, {}, has_limit=True, is_count=is_count)
            return judge.faults_of(query)

        yield faults_of


@pytest.mark.parametrize(
    ("where", "order"),
    [
        ({"orderId": "order_1"}, {}),
        ({"userId": ObjectId(), "idempotencyKey": "k"}, {}),
        ({"providerId": "p", "status": {"$in": ["success", "refunded"]}}, NEWEST),
        ({"_id": ObjectId(), "status": "pending", "amount": 5}, {}),
        (
            {"createdAt": {"$gte": AT, "$lt": AT + timedelta(days=1)}},
            {"createdAt": 1, "referenceId": 1},
        ),
    ],
)
def test_a_query_that_an_index_serves_is_right(
    judge: Callable[..., list[str]], where: Json, order: Json
) -> None:
    assert judge("payments", where, order) == []


@pytest.mark.parametrize(
    ("where", "order", "fault"),
    [
        ({"amount": 5}, {}, "reads the whole collection"),
        ({"$or": [{"orderId": "order_1"}, {"amount": 5}]}, {}, "reads the whole collection"),
        ({"userId": ObjectId()}, {"amount": 1}, "sorts in memory"),
        ({"userId": ObjectId(), "currency": "INR"}, NEWEST, "reads 25 rows for 5"),
        (
            {"status": "failed", "checkAt": {"$lte": AT}, "amount": {"$gt": 1}},
            {"checkAt": 1},
            "reads 25 rows for 5",
        ),
    ],
)
def test_a_query_that_no_index_serves_is_found(
    judge: Callable[..., list[str]], where: Json, order: Json, fault: str
) -> None:
    assert fault in judge("payments", where, order)
