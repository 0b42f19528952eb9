from collections.abc import Iterator

import pytest

from kernapay.storage.mongo import Mongo
from tests.aliases import Store
from tests.clocks import RunningClock
from tests.deliveries.field import Bench, Field
from tests.deliveries.receiver import Receiver


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


@pytest.fixture
def mongo(mongo_url: str) -> Iterator[Mongo]:
    """This process's connection, as the worker has it."""
    mongo = Mongo(mongo_url, threads=8)
    mongo.connect()
    yield mongo
    mongo.close()


@pytest.fixture
def field(store: Store, clock: RunningClock) -> Field:
    field = Field(store, clock)
    field.clear()
    return field


@pytest.fixture
def bench(mongo: Mongo, clock: RunningClock) -> Bench:
    return Bench(mongo, clock)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
