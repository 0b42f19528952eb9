"""MongoDB or Redis is cut off, hangs, or was never there."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.actors import USERS, Actor, assert_problem, send_event, status
from tests.aliases import Json, Store, json_of
from tests.clusters.proxy import Mode, Proxy
from tests.factories import failed_payment, gateway_payment, payment_body, sign_up_body
from tests.stack import Api, Sandbox, StartApi
from tests.waiting import eventually


def readiness(api: Api) -> Json:
    return json_of(api.client.get("/health/ready"))


class TestMongo:
    def test_without_the_database_the_gateway_is_not_called_and_nothing_is_lost(
        self,
        user: Actor,
        sandbox: Sandbox,
        store: Store,
        mongo_proxy: Proxy,
        start_api: StartApi,
    ) -> None:
        api = start_api(MONGODB_URL=mongo_proxy.mongodb_url(store.name))
        here = user.at(api.client)
        payment = here.new_payment()
        here.history()
        assert readiness(api)["status"] == "ready"
        before = sandbox.order_count()
        body = payment_body()
        entity = gateway_payment(payment["orderId"])
        mongo_proxy.set(Mode.CUT)
        # Each waits a while for the database to come back, so they wait together.
        with ThreadPoolExecutor(4) as crowd:
            created = crowd.submit(here.create, body)
            sent = crowd.submit(send_event, api.client, "payment.captured", payment=entity)
            opened = crowd.submit(api.client.post, f"{USERS}/signup", json=sign_up_body())
            ready = crowd.submit(api.client.get, "/health/ready")
        for answer in (created.result(), sent.result(), opened.result()):
            assert_problem(answer, 503, code="unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert sandbox.order_count() == before
        assert ready.result().status_code == 503
        assert ready.result().json()["mongodb"] == "down"
        # What the cache knows can still be read.
        assert here.history().status_code == here.profile().status_code == 200
        assert api.client.get("/health/live").status_code == 200
        mongo_proxy.set(Mode.PASS)
        eventually(lambda: api.client.get("/health/ready").status_code == 200)
        assert here.create(body).status_code == 201
        assert sandbox.order_count() == before + 1
        assert send_event(api.client, "payment.captured", payment=entity).status_code == 200
        assert status(api.client, payment)["status"] == "success"

    def test_a_database_that_hangs_is_told_by_readiness_in_time(
        self, mongo_proxy: Proxy, store: Store, start_api: StartApi
    ) -> None:
        api = start_api(MONGODB_URL=mongo_proxy.mongodb_url(store.name))
        assert readiness(api)["mongodb"] == "up"
        mongo_proxy.set(Mode.HANG)
        answer = api.client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.elapsed.total_seconds() < 5
        assert api.client.get("/health/live").elapsed.total_seconds() < 1
        mongo_proxy.set(Mode.PASS)
        eventually(lambda: api.client.get("/health/ready").status_code == 200)

    def test_a_service_that_started_before_its_database_finds_it(
        self, user: Actor, mongo_proxy: Proxy, store: Store, start_api: StartApi
    ) -> None:
        mongo_proxy.set(Mode.CUT)
        api = start_api(MONGODB_URL=mongo_proxy.mongodb_url(store.name))
        assert api.client.get("/health/ready").status_code == 503
        assert_problem(user.at(api.client).create(), 503, code="unavailable")
        mongo_proxy.set(Mode.PASS)
        eventually(lambda: api.client.get("/health/ready").status_code == 200)
        assert user.at(api.client).profile().status_code == 200


class TestRedis:
    @pytest.mark.parametrize("trouble", [Mode.CUT, Mode.HANG])
    def test_without_the_cache_answers_stay_right_and_no_stale_one_comes_back(
        self,
        user: Actor,
        sandbox: Sandbox,
        store: Store,
        redis_proxy: Proxy,
        start_api: StartApi,
        trouble: Mode,
    ) -> None:
        api = start_api(REDIS_URL=redis_proxy.redis_url)
        here = user.at(api.client)
        first = here.new_payment()
        # Warm: all of this is in Redis, and about to be wrong there.
        assert len(here.history().json()) == 1
        assert here.profile().json()["name"] == "Asha Rao"
        other = here.device()
        assert other.profile().status_code == 200
        redis_proxy.set(trouble)
        second = here.new_payment()
        listed = here.history().json()
        assert [line["referenceId"] for line in listed] == [
            second["referenceId"],
            first["referenceId"],
        ]
        entity = failed_payment(first["orderId"])
        assert send_event(api.client, "payment.failed", payment=entity).status_code == 200
        assert status(api.client, first)["status"] == "failed"
        assert here.update(name="Changed Meanwhile").status_code == 200
        assert here.profile().json()["name"] == "Changed Meanwhile"
        assert other.log_out().status_code == 200
        assert_problem(other.profile(), 401)
        # The first to notice waits for its timeout, nobody after it.
        assert max(here.profile().elapsed.total_seconds() for _ in range(5)) < 1
        ready = api.client.get("/health/ready")
        assert (ready.status_code, ready.json()["redis"]) == (200, "down")
        # The other process carries out the pending evictions, without waiting for this one's return.
        eventually(lambda: store.cache_drops.count_documents({}) == 0)
        assert user.profile().json()["name"] == "Changed Meanwhile"
        assert_problem(other.at(user.client).profile(), 401)
        redis_proxy.set(Mode.PASS)
        eventually(lambda: readiness(api)["redis"] == "up")
        assert store.cache_drops.count_documents({}) == 0
        # Here, and in the process that reached Redis all along.
        for person in (here, user):
            assert person.profile().json()["name"] == "Changed Meanwhile"
            assert [line["status"] for line in person.history().json()] == ["pending", "failed"]
            assert_problem(other.at(person.client).profile(), 401)
        assert api.log_entries("redis_lost")
        assert len(api.log_entries("redis_ready")) == 2

    def test_a_service_without_any_cache_works(
        self, user: Actor, sandbox: Sandbox, start_api: StartApi
    ) -> None:
        api = start_api(REDIS_URL="redis://:hunter2@127.0.0.1:9/0")
        here = user.at(api.client)
        (said,) = api.log_entries("redis_unreachable")
        assert (said["level"], said["address"]) == ("warning", "redis://127.0.0.1:9/0")
        assert here.update(name="No Cache").json() == here.profile().json()
        payment, _ = here.buy(sandbox)
        assert here.history().json()[0]["status"] == "success"
        entity = gateway_payment(payment["orderId"])
        assert send_event(api.client, "payment.captured", payment=entity).status_code == 200
        assert readiness(api) == {
            "status": "ready",
            "mongodb": "up",
            "redis": "down",
            "reason": None,
        }

    @pytest.mark.parametrize("seed", [1, 2])
    def test_in_any_weather_one_reads_what_one_wrote(
        self, user: Actor, redis_proxy: Proxy, start_api: StartApi, seed: int
    ) -> None:
        api = start_api(REDIS_URL=redis_proxy.redis_url)
        here = user.at(api.client)
        dice = random.Random(seed)
        for number in range(25):
            if number % 5 == 0:
                # Fair again and noticed, so that the next storm finds a warm cache.
                redis_proxy.set(Mode.PASS)
                eventually(lambda: readiness(api)["redis"] == "up")
                here.profile()
            redis_proxy.set(dice.choice([Mode.PASS, Mode.CUT]))
            assert here.update(name=f"Name {number}").status_code == 200
            redis_proxy.set(dice.choice([Mode.PASS, Mode.CUT]))
            for _ in range(2):
                assert here.profile().json()["name"] == f"Name {number}"
