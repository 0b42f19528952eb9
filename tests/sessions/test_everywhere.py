"""Changes of accounts and secrets count at once, on every process."""

import httpx
import pytest
from bson import ObjectId

from tests.actors import ADMIN, PAYMENTS, USERS, Actor, People, assert_problem, send_event
from tests.aliases import Store
from tests.factories import unique
from tests.stack import JWT_SECRET, WEBHOOK_SECRET, Api, StartApi


@pytest.fixture
def two(api_server: Api, start_api: StartApi) -> list[httpx.Client]:
    return [api_server.client, start_api().client]


def test_a_new_role_counts_on_every_process_at_the_next_request(
    two: list[httpx.Client], people: People
) -> None:
    admin, user = people.new("ADMIN"), people.new("USER", verified=True)
    here, there = (user.at(client) for client in two)
    for asker in (here, there):
        assert_problem(asker.call("GET", f"{ADMIN}/users"), 403)
    for role, listing, creating in (
        ("ADMIN", 200, 201),
        ("PROVIDER", 403, 403),
        ("USER", 403, 201),
    ):
        changed = admin.call("PUT", f"{ADMIN}/users/{user.id}/role", json={"role": role})
        assert changed.status_code == 200, changed.text
        if role == "ADMIN":  # a rise signs out, a fall does not
            assert [asker.profile().status_code for asker in (there, here)] == [401, 401]
            here.token = there.token = user.device().token
        for asker in (there, here):
            assert asker.call("GET", f"{ADMIN}/users").status_code == listing, role
            assert asker.create().status_code == creating, role


def test_a_deactivated_account_is_out_on_every_process_at_the_next_request(
    two: list[httpx.Client], user: Actor, people: People
) -> None:
    admin = people.new("ADMIN")
    actors = [user.at(client) for client in two]
    assert {actor.profile().status_code for actor in actors} == {200}
    assert admin.call("POST", f"{ADMIN}/users/{user.id}/deactivate").is_success
    for actor in actors:
        assert_problem(actor.profile(), 401)


def test_a_change_of_standing_that_broke_off_counts_once_it_was_repeated(
    people: People, store: Store
) -> None:
    """The process died between its write and dropping the profile."""
    admin, doomed = people.new("ADMIN"), people.new("ADMIN")
    row = {"_id": ObjectId(doomed.id)}
    store.users.update_one(row, {"$set": {"isEmailVerified": False}})
    assert doomed.call("GET", f"{ADMIN}/users").status_code == 200
    store.users.update_one(row, {"$set": {"type": "USER"}})
    repeated = admin.call("PUT", f"{ADMIN}/users/{doomed.id}/role", json={"role": "USER"})
    assert repeated.status_code == 200, repeated.text
    assert_problem(doomed.call("GET", f"{ADMIN}/users"), 403)
    store.users.update_one(row, {"$set": {"isEmailVerified": True}})
    again = doomed.call("POST", "/v1/api/verification/email/confirm", json={"code": "123456"})
    assert_problem(again, 409, code="already_verified")
    assert doomed.profile().json()["isEmailVerified"] is True


def test_signing_out_counts_on_every_process(two: list[httpx.Client], user: Actor) -> None:
    here, there = (user.at(client) for client in two)
    assert there.profile().status_code == 200
    assert here.log_out().status_code == 200
    assert_problem(there.profile(), 401)


def test_the_jwt_secret_rotates_without_signing_anybody_out(
    user: Actor, start_api: StartApi
) -> None:
    during = start_api(
        JWT_SECRET="the-next-secret-of-the-tests-0001", JWT_SECRET_PREVIOUS=JWT_SECRET
    )
    assert user.at(during.client).profile().status_code == 200
    newer = user.at(during.client).device()
    assert newer.profile().status_code == 200
    assert_problem(newer.at(user.client).profile(), 401)
    after = start_api(JWT_SECRET="the-next-secret-of-the-tests-0001")
    assert newer.at(after.client).profile().status_code == 200
    assert_problem(user.at(after.client).profile(), 401)


def test_the_webhook_secret_rotates_without_losing_an_event(
    api: httpx.Client, start_api: StartApi
) -> None:
    name, new = "nothing.of.ours", "whsec_next_of_the_tests_01"
    during = start_api(RAZORPAY_WEBHOOK_SECRET=new, RAZORPAY_WEBHOOK_SECRET_PREVIOUS=WEBHOOK_SECRET)

    def send(client: httpx.Client, secret: str) -> int:
        return send_event(client, name, order={"id": unique()}, secret=secret).status_code

    assert send(during.client, WEBHOOK_SECRET) == 200
    assert send(during.client, new) == 200
    assert send(api, new) == 401
    after = start_api(RAZORPAY_WEBHOOK_SECRET=new)
    assert send(after.client, WEBHOOK_SECRET) == 401
    assert send(after.client, new) == 200


def test_the_old_services_readable_refresh_token_is_worth_nothing(
    api: httpx.Client, user: Actor, store: Store
) -> None:
    old = "eyJhbGciOiJIUzI1NiJ9.e30.old-service-token"
    store.users.update_one({"_id": ObjectId(user.id)}, {"$set": {"refreshToken": old}})
    answer = api.post(f"{USERS}/refresh", json={"refreshToken": old})
    assert_problem(answer, 401, code="refresh_refused")
    assert user.call("GET", f"{PAYMENTS}/history/{user.id}").status_code == 200
