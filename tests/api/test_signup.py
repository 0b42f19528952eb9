"""POST /users/signup."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernapay.users.contacts import to_e164
from tests.actors import USERS, assert_problem, log_in
from tests.aliases import Store
from tests.databases import row_of
from tests.factories import PASSWORD, new_email, sign_up_body, unique, without
from tests.plain_http import NO_AUTHORITIES
from tests.stack import Api
from tests.strategies import json_values


def sign_up(client: httpx.Client, **changes: Any) -> httpx.Response:
    return client.post(f"{USERS}/signup", json=sign_up_body(**changes))


@pytest.mark.owasp(line="API3")
def test_a_person_signs_up_and_the_answer_holds_no_password(
    api: httpx.Client, store: Store
) -> None:
    body = sign_up_body()
    answer = api.post(f"{USERS}/signup", json=body)
    assert answer.status_code == 201
    user = answer.json()
    assert user["email"] == body["email"]
    assert user["name"] == "Asha Rao"
    assert user["type"] == "USER"
    assert user["status"] == "ACTIVE"
    assert user["mobileNumber"] == 9876543210
    assert user["countryCode"] == "+91"
    assert user["isEmailVerified"] is False
    assert user["isMobileNumberVerified"] is False
    assert user["createdAt"].endswith("Z")
    assert not {"password", "confirmPassword", "refreshToken"} & user.keys()
    row = row_of(store.users, email=body["email"])
    assert str(row["_id"]) == user["_id"]
    assert row["password"].startswith("$bcrypt-sha256$")
    assert PASSWORD not in str(row)
    assert row["password"] not in answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "asha"}, "email"),
        ({"email": "asha@"}, "email"),
        ({"email": "asha@localhost"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": "asha\x00@example.com"}, "email"),
        ({"email": {"$ne": ""}}, "email"),
        ({"email": ["asha@example.com"]}, "email"),
        ({"email": None}, "email"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "Asha\x00Rao"}, "name"),
        ({"name": "Asha\nRao"}, "name"),
        ({"name": {"$gt": ""}}, "name"),
        ({"password": "short", "confirmPassword": "short"}, "password"),
        ({"password": "x" * 129, "confirmPassword": "x" * 129}, "password"),
        ({"password": "nul\x00nul\x00", "confirmPassword": "nul\x00nul\x00"}, "password"),
        ({"password": {"$ne": ""}}, "password"),
        ({"password": 1234567890}, "password"),
        ({"confirmPassword": "another battery"}, "confirmPassword"),
        ({"confirmPassword": None}, "confirmPassword"),
        ({"mobileNumber": 12}, "mobileNumber"),
        ({"mobileNumber": -9876543210}, "mobileNumber"),
        ({"mobileNumber": 9876543210.5}, "mobileNumber"),
        ({"mobileNumber": 10**30}, "mobileNumber"),
        ({"mobileNumber": "98765x3210"}, "mobileNumber"),
        ({"mobileNumber": ""}, "mobileNumber"),
        ({"mobileNumber": True}, "mobileNumber"),
        ({"mobileNumber": 1111111111}, "mobileNumber"),
        ({"countryCode": "91"}, "countryCode"),
        ({"countryCode": "+"}, "countryCode"),
        ({"countryCode": "+00"}, "countryCode"),
        ({"countryCode": "+999", "mobileNumber": 9876543210}, "mobileNumber"),
        ({"type": "ADMIN"}, "type"),
        ({"type": "LAB_ASSISTANT"}, "type"),
        ({"type": "admin"}, "type"),
        ({"type": ["USER"]}, "type"),
        ({"status": "ACTIVE"}, "status"),
        ({"isEmailVerified": True}, "isEmailVerified"),
        ({"_id": "66b1f0c2a7d4e5f601234567"}, "_id"),
        ({"refreshToken": "x"}, "refreshToken"),
        ({"$where": "1"}, "$where"),
    ],
    ids=str,
)
def test_a_bad_field_is_refused_by_name_and_nothing_is_written(
    api: httpx.Client, store: Store, changes: dict[str, Any], field: str
) -> None:
    before = store.users.count_documents({})
    assert_problem(sign_up(api, **changes), 400, field)
    assert store.users.count_documents({}) == before


@pytest.mark.parametrize(
    "name", ["email", "name", "password", "confirmPassword", "mobileNumber", "countryCode"]
)
def test_a_missing_field_is_refused_by_name(api: httpx.Client, name: str) -> None:
    answer = api.post(f"{USERS}/signup", json=without(sign_up_body(), name))
    assert_problem(answer, 400, name)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'"text"', b"17", b"{'a': 1}", b'{"email": "a@b.c",}', b"\x00"],
    ids=repr,
)
def test_a_body_that_is_no_object_is_refused(api: httpx.Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert_problem(api.post(f"{USERS}/signup", content=content, headers=headers), 400)


def test_the_address_is_kept_in_one_form_and_known_in_every_other(api: httpx.Client) -> None:
    name = unique("Asha.")
    answer = sign_up(api, email=f"  {name}@EXAMPLE.com ")
    assert answer.status_code == 201
    assert answer.json()["email"] == f"{name.lower()}@example.com"
    assert_problem(sign_up(api, email=f"{name.upper()}@example.COM"), 409, "email")
    assert log_in(api, f"{name.upper()}@Example.com", PASSWORD).profile().status_code == 200


def test_an_address_of_another_script_has_one_form_too(api: httpx.Client) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    name = unique("ren")
    assert sign_up(api, email=f"{name}{composed}@example.com").status_code == 201
    assert_problem(sign_up(api, email=f"{name}{decomposed}@example.com"), 409, "email")


@pytest.mark.owasp(line="API6")
def test_of_twenty_identical_sign_ups_at_once_one_succeeds(api_server: Api, store: Store) -> None:
    body = sign_up_body()
    with (
        httpx.Client(
            base_url=api_server.url, trust_env=False, timeout=30, verify=NO_AUTHORITIES
        ) as client,
        ThreadPoolExecutor(20) as crowd,
    ):
        answers = list(crowd.map(lambda _: client.post(f"{USERS}/signup", json=body), range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "email", "email_taken")
    assert store.users.count_documents({"email": body["email"]}) == 1


@pytest.mark.parametrize("domain", ["mailinator.com", "inbox.mailinator.com", "MAILINATOR.com"])
def test_a_disposable_address_is_refused(api: httpx.Client, domain: str) -> None:
    problem = assert_problem(sign_up(api, email=f"{unique()}@{domain}"), 400, "email")
    assert "isposable" in problem["detail"]


@pytest.mark.parametrize(
    ("country_code", "number", "stored"),
    [
        ("+91", 9876543210, 9876543210),
        ("+91", "9876543210", 9876543210),
        ("+1", 2025550123, 2025550123),
        ("+44", "7911123456", 7911123456),
        ("+49", 15123456789, 15123456789),
    ],
)
def test_phone_numbers_come_as_number_or_digits(
    api: httpx.Client, country_code: str, number: int | str, stored: int
) -> None:
    answer = sign_up(api, countryCode=country_code, mobileNumber=number)
    assert answer.status_code == 201, answer.text
    assert answer.json()["mobileNumber"] == stored


@pytest.mark.parametrize(
    ("country_code", "number"), [("+1", 9876543210), ("+919", 876543210), ("+9", 19876543210)]
)
def test_a_number_that_is_valid_elsewhere_only_is_refused(
    api: httpx.Client, country_code: str, number: int
) -> None:
    answer = sign_up(api, countryCode=country_code, mobileNumber=number)
    assert_problem(answer, 400, "mobileNumber")


def test_a_number_whose_zero_belongs_to_it_can_be_sent_again_as_it_is_stored(
    api: httpx.Client,
) -> None:
    body = sign_up_body(countryCode="+225", mobileNumber="0708091011")
    stored = api.post(f"{USERS}/signup", json=body).json()["mobileNumber"]
    person = log_in(api, body["email"], body["password"])
    assert person.update(mobileNumber=stored).json()["mobileNumber"] == stored == 708091011
    assert to_e164("+225", stored) == "+2250708091011"


def test_a_provider_may_sign_up(api: httpx.Client) -> None:
    assert sign_up(api, type="PROVIDER").json()["type"] == "PROVIDER"


def test_a_long_password_counts_to_its_last_byte(api: httpx.Client) -> None:
    email, password = new_email(), "p" * 127
    answer = sign_up(api, email=email, password=password + "a", confirmPassword=password + "a")
    assert answer.status_code == 201
    body = {"email": email, "password": password + "b"}
    assert_problem(api.post(f"{USERS}/login", json=body), 401)
    assert log_in(api, email, password + "a").profile().status_code == 200


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(list(sign_up_body())), json_values)
def test_whatever_a_field_holds_the_answer_is_a_sign_up_or_a_refusal(
    api: httpx.Client, field: str, value: Any
) -> None:
    answer = sign_up(api, **{field: value})
    if answer.status_code != 201:
        assert 400 <= answer.status_code < 500
        assert_problem(answer, answer.status_code)
