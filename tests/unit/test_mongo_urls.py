"""Whatever MONGODB_URL says of it, payments are read from the primary and written to a majority."""

from bson import ObjectId
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern

from kernapay.storage.mongo import Mongo, database, open_database
from kernapay.storage.mongo_urls import without_overridden

UNSAFE = (
    "readPreference=secondary&readPreferenceTags=dc:ny&maxStalenessSeconds=120&w=0&journal=false"
    "&readConcernLevel=local&retryWrites=false"
)


def test_the_service_overrides_what_is_not_safe_for_money(mongo_url: str) -> None:
    mongo = Mongo(f"{mongo_url}{'&' if '?' in mongo_url else '?'}{UNSAFE}", threads=1)
    mongo.connect()
    try:
        client = database().client
        assert client.read_preference == ReadPreference.PRIMARY
        assert client.read_concern == ReadConcern("majority")
        assert client.write_concern.document["w"] == "majority"
        assert client.write_concern.document["j"] is True
        assert client.options.retry_writes
        written = database().doctor.delete_many({"_id": ObjectId()})
        assert written.acknowledged
    finally:
        mongo.close()


def test_migrations_override_it_too(mongo_url: str) -> None:
    client, _ = open_database(f"{mongo_url}{'&' if '?' in mongo_url else '?'}{UNSAFE}")
    with client:
        assert client.read_preference == ReadPreference.PRIMARY
        assert client.write_concern.document["w"] == "majority"


def test_all_else_stays_as_it_is_written() -> None:
    rest = "mongodb://u:p%26w%3D1@a:1,b/db?replicaSet=rs0&tls=true&appName=w%3D1"
    assert without_overridden(rest) == rest
    assert without_overridden(f"{rest}&W=1&j=false") == rest
    assert without_overridden("mongodb://a/db?w=1") == "mongodb://a/db"
    assert without_overridden("mongodb://a/db?w=majority;tls=true") == (
        "mongodb://a/db?w=majority&tls=true"
    )
