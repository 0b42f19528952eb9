"""Endpoints over HTTP: a shop has its own, administrators see all, and the secret is shown once."""

import base64
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from kernapay.core.keys import Sealer
from tests.actors import ADMIN_USERS, API_KEYS, DELIVERIES, ENDPOINTS, Actor, People, assert_problem
from tests.aliases import Json, Store, json_of
from tests.deliveries.field import SEALER
from tests.stack import StartApi

URL = "https://8.8.8.8/hook"


def create(actor: Actor, **changes: Any) -> Json:
    answer = actor.call("POST", ENDPOINTS, json={"url": URL, **changes})
    assert answer.status_code == 201, answer.text
    return json_of(answer)


def shown(actor: Actor, endpoint: Mapping[str, Any]) -> Json:
    answer = actor.call("GET", f"{ENDPOINTS}/{endpoint['_id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()["endpoint"]
    return found


def test_the_secret_is_shown_once_and_stored_sealed(user: Actor, store: Store) -> None:
    made = create(user, description="Shipping", types=["payment.succeeded"])
    secret, endpoint = made["secret"], made["endpoint"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    row = store.endpoints.find_one({"_id": ObjectId(endpoint["_id"])})
    assert row is not None
    assert SEALER.open(row["secrets"][0]["sealed"]) == secret
    assert secret not in str(row)
    again = user.call("GET", f"{ENDPOINTS}/{endpoint['_id']}")
    listed = user.call("GET", ENDPOINTS)
    assert secret not in again.text + listed.text
    assert shown(user, endpoint) == endpoint == listed.json()[0]
    assert (endpoint["owner"], endpoint["state"], endpoint["version"]) == (user.id, "on", 1)
    assert endpoint["types"] == ["payment.succeeded"]


def test_an_administrators_endpoint_has_no_owner_and_is_seen_by_all_administrators(
    admin: Actor, people: People, user: Actor
) -> None:
    endpoint = create(admin, types=["settlement.processed", "reconciliation.finding"])["endpoint"]
    assert endpoint.get("owner") is None
    other = people.new("ADMIN")
    assert shown(other, endpoint)["_id"] == endpoint["_id"]
    assert_problem(user.call("GET", f"{ENDPOINTS}/{endpoint['_id']}"), 404)
    own = create(user)["endpoint"]
    assert shown(admin, own)["owner"] == user.id


def test_a_shop_cannot_ask_for_what_is_the_administrators(user: Actor) -> None:
    for kind in ("settlement.processed", "reconciliation.finding"):
        answer = user.call("POST", ENDPOINTS, json={"url": URL, "types": [kind]})
        assert_problem(answer, 400, field="types")
    endpoint = create(user)["endpoint"]
    path = f"{ENDPOINTS}/{endpoint['_id']}"
    answer = user.call("PUT", path, json={"types": ["settlement.processed"]})
    assert_problem(answer, 400, field="types")


def test_an_administrator_cannot_widen_the_endpoint_of_a_shop(user: Actor, admin: Actor) -> None:
    path = f"{ENDPOINTS}/{create(user)['endpoint']['_id']}"
    answer = admin.call("PUT", path, json={"types": ["settlement.processed"]})
    assert_problem(answer, 400, field="types")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": None}, "url"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://localhost/"}, "url"),
        ({"url": f"https://example.com/{'a' * 3000}"}, "url"),
        ({"types": ["payment.exploded"]}, "types[0]"),
        ({"types": "payment.created"}, "types"),
        ({"serviceTypes": ["a b"]}, "serviceTypes[0]"),
        ({"providers": ["x"] * 101}, "providers"),
        ({"description": "two\nlines"}, "description"),
        ({"secret": "whsec_mine"}, "secret"),
        ({"owner": "66b1f0c2a7d4e5f601234567"}, "owner"),
        ({"state": "off"}, "state"),
    ],
)
def test_bad_input_names_the_field(user: Actor, body: Json, field: str) -> None:
    given = body if "url" in body or not body else {"url": URL, **body}
    assert_problem(user.call("POST", ENDPOINTS, json=given), 400, field=field)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Content-Length", "content-type", "Transfer-Encoding", "Connection", "TE", "Upgrade"),
        *("Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Expect", "Trailer"),
        *("Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP"),
        *("X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Accept-Encoding"),
        *("webhook-id", "Webhook-Signature", "WEBHOOK-anything", "svix-id", "User-Agent"),
        *("Metadata-Flavor", "X-aws-ec2-metadata-token", "Metadata"),
    ],
)  # fmt: skip
@pytest.mark.owasp(line="API7")
def test_a_header_that_could_change_the_request_is_refused(user: Actor, name: str) -> None:
    answer = user.call("POST", ENDPOINTS, json={"url": URL, "headers": {name: "x"}})
    assert_problem(answer, 400, field=f"headers.{name}")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Shop": "a\r\nHost: evil.example"},
        {"X-Shop": "a\nb"},
        {"X-Shop": ""},
        {"X-Shop": " a"},
        {"X-Shop": "é"},
        {"X-Shop": "a" * 1001},
        {"X Shop": "a"},
        {"X-Shop:": "a"},
        {"X-Shop\r\nHost": "a"},
        {"": "a"},
        {"X-Shöp": "a"},
        {"X_Shop": "a"},
        {"X-Shop": "1", "x-shop": "2"},
        {f"X-{number}": "a" for number in range(11)},
        {"X-Shop": 7},
    ],
)
@pytest.mark.owasp(line="API7")
def test_a_header_that_is_malformed_is_refused(user: Actor, headers: Json) -> None:
    answer = user.call("POST", ENDPOINTS, json={"url": URL, "headers": headers})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith("headers")


def test_what_is_left_out_of_a_change_stays(user: Actor) -> None:
    endpoint = create(user, description="Old", headers={"X-A": "1"}, types=["payment.created"])
    before = endpoint["endpoint"]
    path = f"{ENDPOINTS}/{before['_id']}"
    answer = user.call("PUT", path, json={"url": "https://1.1.1.1:8443/new", "types": []})
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert (after["url"], after["types"]) == ("https://1.1.1.1:8443/new", [])
    assert (after["description"], after["headers"]) == ("Old", {"X-A": "1"})
    assert user.call("PUT", path, json={"headers": {}, "description": ""}).json()["headers"] == {}
    assert_problem(user.call("PUT", path, json={"url": "https://10.0.0.1/"}), 400, field="url")
    assert_problem(user.call("PUT", path, json={"version": 99}), 400, field="version")
    assert_problem(user.call("PUT", path, json={"headers": {"Host": "x"}}), 400)


def test_a_rotation_lets_the_old_secret_sign_for_a_time(user: Actor, store: Store) -> None:
    made = create(user)
    path = f"{ENDPOINTS}/{made['endpoint']['_id']}"
    rotated = user.call("POST", f"{path}/rotate", json={})
    assert rotated.status_code == 200, rotated.text
    assert rotated.json()["secret"] != made["secret"]
    new, old = rotated.json()["endpoint"]["signingKeys"]
    assert "until" not in new or new["until"] is None
    until = datetime.fromisoformat(old["until"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    row = store.endpoints.find_one({"_id": ObjectId(made["endpoint"]["_id"])})
    assert row is not None
    opened = [SEALER.open(each["sealed"]) for each in row["secrets"]]
    assert opened == [rotated.json()["secret"], made["secret"]]
    ended = user.call("PUT", path, json={"endPreviousSecret": True})
    assert len(ended.json()["signingKeys"]) == 1
    at_once = user.call("POST", f"{path}/rotate", json={"overlapSeconds": 0})
    assert len(at_once.json()["endpoint"]["signingKeys"]) == 1


def test_only_so_many_secrets_sign(user: Actor) -> None:
    path = f"{ENDPOINTS}/{create(user)['endpoint']['_id']}"
    for _ in range(4):
        assert user.call("POST", f"{path}/rotate", json={}).status_code == 200
    assert_problem(user.call("POST", f"{path}/rotate", json={}), 409, code="too_many_secrets")
    assert user.call("PUT", path, json={"endPreviousSecret": True}).status_code == 200
    assert user.call("POST", f"{path}/rotate", json={}).status_code == 200
    assert_problem(user.call("POST", f"{path}/rotate", json={"overlapSeconds": -1}), 400)


def test_two_rotations_at_once_lose_no_secret(user: Actor, store: Store) -> None:
    """A secret that was shown signs, or the call has failed."""
    made = create(user)
    path = f"{ENDPOINTS}/{made['endpoint']['_id']}/rotate"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: user.call("POST", path, json={}), range(4)))
    assert {each.status_code for each in answers} <= {200, 409}
    shown_secrets = {each.json()["secret"] for each in answers if each.status_code == 200}
    row = store.endpoints.find_one({"_id": ObjectId(made["endpoint"]["_id"])})
    assert row is not None
    assert {SEALER.open(each["sealed"]) for each in row["secrets"]} == {
        *shown_secrets,
        made["secret"],
    }


def test_an_endpoint_is_switched_off_and_on(user: Actor) -> None:
    endpoint = create(user)["endpoint"]
    path = f"{ENDPOINTS}/{endpoint['_id']}"
    for _ in range(2):
        assert user.call("POST", f"{path}/disable").json()["state"] == "off"
    assert_problem(user.call("POST", f"{path}/test"), 409, code="endpoint_is_off")
    for _ in range(2):
        on = user.call("POST", f"{path}/enable").json()
        assert on["state"] == "on"
    assert on["since"] > endpoint["since"]


def test_a_removed_endpoint_is_gone_for_everybody(user: Actor, admin: Actor, store: Store) -> None:
    endpoint = create(user, headers={"X-Key": "k"})["endpoint"]
    path = f"{ENDPOINTS}/{endpoint['_id']}"
    assert user.call("DELETE", path).status_code == 200
    for actor in (user, admin):
        assert_problem(actor.call("GET", path), 404)
        assert_problem(actor.call("DELETE", path), 404)
        assert_problem(actor.call("POST", f"{path}/enable"), 404)
        assert_problem(actor.call("PUT", path, json={"description": "x"}), 404)
    assert user.call("GET", ENDPOINTS).json() == []
    row = store.endpoints.find_one({"_id": ObjectId(endpoint["_id"])})
    assert row is None or (row["secrets"], row["headers"]) == ([], {})


def test_the_list_goes_on_after_a_cursor_and_has_nobody_elses(user: Actor, people: People) -> None:
    ids = [create(user)["endpoint"]["_id"] for _ in range(5)]
    other = people.new("USER")
    foreign = create(other)["endpoint"]["_id"]
    found: list[str] = []
    cursor = ""
    while page := user.call(
        "GET", ENDPOINTS, params={"count": 2, **({"cursor": cursor} if cursor else {})}
    ).json():
        found += [each["_id"] for each in page]
        cursor = found[-1]
    assert found == ids
    beyond = user.call("GET", ENDPOINTS, params={"cursor": foreign}).json()
    assert foreign not in [each["_id"] for each in beyond]


def test_an_account_has_only_so_many(people: People, start_api: StartApi) -> None:
    api = start_api(ENDPOINTS_PER_ACCOUNT="3")
    user = people.new("USER").at(api.client)
    body = {"url": URL}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: user.call("POST", ENDPOINTS, json=body), range(6)))
    assert len([each for each in answers if each.status_code == 201]) <= 3
    while len(user.call("GET", ENDPOINTS).json()) < 3:
        create(user)
    assert_problem(user.call("POST", ENDPOINTS, json=body), 409, code="too_many_endpoints")
    create(people.new("USER").at(api.client))


def test_a_key_manages_the_endpoints_of_its_account(people: People, api: Any) -> None:
    admin = people.new("ADMIN")
    shop = people.new("USER")
    made = admin.call("POST", API_KEYS, json={"name": "Till", "role": "USER", "userId": shop.id})
    key = Actor(api, {"_id": shop.id, "email": shop.email}, "", made.json()["key"])
    endpoint = create(key)["endpoint"]
    assert endpoint["owner"] == shop.id
    assert shown(shop, endpoint) == endpoint


def test_the_endpoints_of_an_account_end_with_it(people: People, admin: Actor) -> None:
    shop = people.new("USER")
    endpoint = create(shop)["endpoint"]
    assert admin.call("POST", f"{ADMIN_USERS}/{shop.id}/deactivate").status_code == 200
    after = shown(admin, endpoint)
    assert (after["state"], after["reason"]) == ("disabled", "account_changed")


def test_an_administrators_endpoint_ends_with_the_role_unless_another_one_takes_it_over(
    people: People,
) -> None:
    first, second = people.new("ADMIN"), people.new("ADMIN")
    lost, kept = create(first)["endpoint"], create(first)["endpoint"]
    path = f"{ENDPOINTS}/{kept['_id']}"
    assert second.call("POST", f"{path}/disable").status_code == 200
    assert second.call("POST", f"{path}/enable").status_code == 200
    answer = second.call("PUT", f"{ADMIN_USERS}/{first.id}/role", json={"role": "USER"})
    assert answer.status_code == 200, answer.text
    after = shown(second, lost)
    assert (after["state"], after["reason"]) == ("disabled", "keeper_not_admin")
    assert shown(second, kept)["state"] == "on"


def test_every_change_leaves_an_audit_entry_without_secrets(user: Actor, store: Store) -> None:
    made = create(user, headers={"X-Key": "a-secret-of-the-shop"})
    endpoint_id = made["endpoint"]["_id"]
    path = f"{ENDPOINTS}/{endpoint_id}"
    rotated = user.call("POST", f"{path}/rotate", json={}).json()["secret"]
    user.call("PUT", path, json={"url": "https://1.1.1.1/token-in-the-path"})
    delivery = user.call("POST", f"{path}/test").json()["deliveryId"]
    user.call("POST", f"{DELIVERIES}/{delivery}/resend")
    user.call("POST", f"{path}/replay", json={"from": "2026-01-01T00:00:00Z"})
    user.call("POST", f"{path}/disable")
    user.call("POST", f"{path}/enable")
    user.call("DELETE", path)
    rows = list(store.audit_log.find({"actor": user.id}).sort("_id"))
    assert [row["action"] for row in rows] == [
        *("endpoint.create", "endpoint.rotate", "endpoint.change", "endpoint.test"),
        *("delivery.resend", "endpoint.replay", "endpoint.disable", "endpoint.enable"),
        "endpoint.remove",
    ]
    assert {row["target"] for row in rows} == {f"endpoint:{endpoint_id}", f"delivery:{delivery}"}
    said = str(rows)
    for secret in (made["secret"], rotated, "a-secret-of-the-shop", "token-in-the-path"):
        assert secret not in said


def test_a_secret_survives_a_rotation_of_the_jwt_secret(user: Actor, store: Store) -> None:
    made = create(user)
    row = store.endpoints.find_one({"_id": ObjectId(made["endpoint"]["_id"])})
    assert row is not None
    later = Sealer(["a new secret", "jwt-tests-0d1f6c3e8a5b479288e1c0ffee42"], "endpoint-secret")
    assert later.open(row["secrets"][0]["sealed"]) == made["secret"]
