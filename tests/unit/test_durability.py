"""What protects money by configuration: how MongoDB confirms writes and answers reads, and how long leases last."""

from datetime import timedelta

import pytest
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from kernapay.bootstrap.services import Services
from kernapay.payments.lifetimes import LATE_AUTHORIZATION
from kernapay.storage.mongo import Mongo, database
from tests.environment import settings_from


@pytest.fixture
def services(api_env: dict[str, str], mongo: Mongo) -> Services:
    return Services(settings_from(api_env, razorpay_timeout="10s"))


@pytest.mark.parametrize(
    "options",
    ["", "w=1", "journal=false", "readConcernLevel=local", "retryWrites=false", "w=0"],
)
def test_the_connection_waits_for_a_majority_whatever_the_url_says(
    mongo_url: str, options: str
) -> None:
    mongo = Mongo(f"{mongo_url}{'&' if '?' in mongo_url else '?'}{options}", threads=1)
    mongo.connect()
    try:
        client = database().client
        assert client.write_concern == WriteConcern("majority", 5000, True)
        assert client.read_concern == ReadConcern("majority")
        assert client.options.retry_writes
        assert client.options.retry_reads
        assert database().payments.write_concern == client.write_concern
        assert database().payments.read_concern == client.read_concern
    finally:
        mongo.close()


def test_the_leases_outlast_what_they_cover(services: Services) -> None:
    call = services.settings.razorpay_timeout
    assert services.ordering.lease == services.refund_service.lease == 3 * call
    leases = {queue.name: queue.leases for queue in services.queues}
    assert leases == {
        "inbox": (timedelta(minutes=2),),
        "outbox": (timedelta(seconds=30),),
        "unpaid_payments": (timedelta(minutes=2),),
        "late_payments": (timedelta(minutes=2),),
        "ending_sales": (timedelta(minutes=2),),
        "surplus_payments": (timedelta(minutes=2),),
        "open_refunds": (timedelta(minutes=2),),
        "reports": (timedelta(hours=1),),
        "settlement_days": (timedelta(minutes=10),),
        "customers": (timedelta(minutes=2),),
        "exports": (timedelta(minutes=5),),
        "statements": (timedelta(minutes=5),),
    }
    assert services.settings.webhook_deadline < min(leases["inbox"])
    assert timedelta(days=3) < LATE_AUTHORIZATION
