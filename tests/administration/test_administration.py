"""Managing accounts: who may, what they see, and that it counts at once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from kernapay.security.principal import Operator, Role
from kernapay.storage.migrations import Migrator
from kernapay.users.models import UserStatus
from tests.actors import ADMIN_USERS, PAYMENTS, USERS, Actor, People, assert_problem
from tests.aliases import Store
from tests.databases import profiled, row_of
from tests.factories import new_email, sign_up_body, unique
from tests.in_process import InProcess
from tests.stack import Sandbox, StartApi, bearer


def change_role(admin: Actor, whose: Actor, role: str) -> httpx.Response:
    return admin.call("PUT", f"{ADMIN_USERS}/{whose.id}/role", json={"role": role})


def deactivate(admin: Actor, whose: Actor) -> httpx.Response:
    return admin.call("POST", f"{ADMIN_USERS}/{whose.id}/deactivate")


def emails(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [user["email"] for user in answer.json()["users"]]


@pytest.fixture
def start_without_admins(
    empty_database_url: str, empty_database: Store, start_api: StartApi
) -> Callable[[], People]:
    """Start APIs on a database of their own, where nobody is an administrator yet."""
    Migrator(empty_database).up()
    return lambda: People(start_api(MONGODB_URL=empty_database_url).client, empty_database)


class TestLooking:
    def test_a_search_finds_the_beginning_of_an_address_or_a_name(
        self, admin: Actor, people: People
    ) -> None:
        name = unique("Zara ")
        by_name = people.new("USER", name=name)
        by_email = people.new("PROVIDER", email=f"{name.replace(' ', '.').lower()}@example.com")
        for text in (name, name.upper(), name.lower()):
            assert emails(admin.call("GET", ADMIN_USERS, params={"search": text})) == [
                by_name.email
            ]
        found = admin.call("GET", ADMIN_USERS, params={"search": by_email.email.upper()})
        assert emails(found) == [by_email.email]
        assert emails(admin.call("GET", ADMIN_USERS, params={"search": name[1:]})) == []

    def test_a_name_is_found_however_it_is_written_and_after_it_was_changed(
        self, admin: Actor, people: People
    ) -> None:
        name = unique("Žofie Weiß ")
        person = people.new("USER", name=name)
        for text in (name, name.upper(), name.lower(), name.replace("ß", "SS")):
            assert emails(admin.call("GET", ADMIN_USERS, params={"search": text})) == [person.email]
        other = unique("ΟΔΥΣΣΕΥΣ ")
        assert person.update(name=other).status_code == 200
        assert emails(admin.call("GET", ADMIN_USERS, params={"search": name})) == []
        for text in (other[:6], other[:9].lower(), other):
            found = emails(admin.call("GET", ADMIN_USERS, params={"search": text, "count": 100}))
            assert person.email in found

    def test_a_list_reads_no_more_than_it_shows(
        self, admin: Actor, people: People, store: Store
    ) -> None:
        crowd = unique("crowd ")
        rows = [
            {
                "email": f"{crowd}{n}@example.com",
                "name": f"{crowd}{n}",
                "nameFolded": f"{crowd}{n}",
                "type": "USER",
                "status": "ACTIVE",
                "createdAt": datetime(2020, 1, 1, tzinfo=UTC),
            }
            for n in range(3000)
        ]
        store.users.insert_many(rows)
        wanted = people.new("USER", name=unique("Zoe "))
        try:
            for query in ({"search": "ZOE "}, {"search": wanted.email}, {"search": unique()}, {}):
                with profiled(store, "users") as entries:
                    assert admin.call("GET", ADMIN_USERS, params=query).status_code == 200
                read = [
                    entry.get("keysExamined", 0) + entry.get("docsExamined", 0) for entry in entries
                ]
                assert len(read) >= 2, "at least the page and the total"
                assert max(read) < 100, query
                # One number is kept by the database; every other question ends some time.
                commands = [entry["command"] for entry in entries]
                assert all("count" in each or "maxTimeMS" in each for each in commands)
        finally:
            store.users.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})

    @pytest.mark.parametrize("text", [".*", "^", "a|b", "(", "[", "\\", "$where", "{", "a{99999}"])
    @pytest.mark.owasp(line="API8")
    def test_nothing_in_a_search_is_a_pattern(self, admin: Actor, text: str) -> None:
        assert emails(admin.call("GET", ADMIN_USERS, params={"search": text})) == []

    @pytest.mark.parametrize(
        "query",
        [
            "search[$ne]=x",
            "search[$regex]=.*",
            "type[$ne]=USER",
            "status[$gt]=",
            "createdAfter[$gt]=",
        ],
    )
    @pytest.mark.owasp(line="API8")
    def test_operators_in_the_query_are_no_conditions(self, admin: Actor, query: str) -> None:
        plain = admin.call("GET", ADMIN_USERS).json()["total"]
        assert admin.call("GET", f"{ADMIN_USERS}?{query}").json()["total"] == plain

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("type=KING", "type"),
            ("status=GONE", "status"),
            ("createdAfter=yesterday", "createdAfter"),
            ("count=0", "count"),
            ("count=101", "count"),
            ("skip=-1", "skip"),
            ("search=%00", "search"),
            ("search=", "search"),
        ],
    )
    def test_bad_filters_are_named(self, admin: Actor, query: str, field: str) -> None:
        assert_problem(admin.call("GET", f"{ADMIN_USERS}?{query}"), 400, field=field)

    def test_filters_narrow_the_list_and_total_counts_all_of_it(
        self, admin: Actor, people: People
    ) -> None:
        name = unique("Bela ")
        users = [people.new("USER", name=name) for _ in range(3)]
        provider = people.new("PROVIDER", name=name)
        assert deactivate(admin, users[0]).status_code == 200
        everybody = [provider.email, *(user.email for user in reversed(users))]

        def find(**query: Any) -> httpx.Response:
            return admin.call("GET", ADMIN_USERS, params={"search": name, **query})

        assert emails(find()) == everybody
        assert emails(find(type="PROVIDER")) == [provider.email]
        assert emails(find(status="INACTIVE")) == [users[0].email]
        assert emails(find(type="USER", status="ACTIVE")) == [users[2].email, users[1].email]
        assert emails(find(count=2, skip=1)) == everybody[1:3]
        assert find(count=2, skip=1).json()["total"] == 4
        made = admin.call("GET", f"{ADMIN_USERS}/{users[1].id}").json()["createdAt"]
        assert emails(find(createdAfter=made)) == everybody[:3]
        assert emails(find(createdBefore=made)) == everybody[3:]

    @pytest.mark.owasp(line="API3")
    def test_no_view_shows_a_password_or_a_token(self, admin: Actor, user: Actor) -> None:
        views = [
            admin.call("GET", ADMIN_USERS).text,
            admin.call("GET", f"{ADMIN_USERS}/{user.id}").text,
        ]
        assert not [word for word in ("password", "refresh", "$bcrypt") for v in views if word in v]

    def test_an_unknown_account_is_not_found(self, admin: Actor) -> None:
        for method, path in (("GET", ""), ("POST", "/activate"), ("POST", "/deactivate")):
            assert_problem(admin.call(method, f"{ADMIN_USERS}/{'0' * 24}{path}"), 404)
        for path in ("x", "$ne", "..%2f..", "0" * 25, "%00" * 24):
            assert admin.call("GET", f"{ADMIN_USERS}/{path}").status_code in (400, 404)


class TestAuthorization:
    @pytest.mark.parametrize("role", ["USER", "PROVIDER", "LAB_ASSISTANT"])
    @pytest.mark.owasp(line="API5")
    def test_nobody_else_manages_accounts_not_even_their_own(
        self, people: People, role: str
    ) -> None:
        caller, other = people.new(role), people.new(role)
        for target in (caller, other):
            attempts = [
                caller.call("GET", ADMIN_USERS),
                caller.call("GET", f"{ADMIN_USERS}/{target.id}"),
                change_role(caller, target, "ADMIN"),
                deactivate(caller, target),
                caller.call("POST", f"{ADMIN_USERS}/{target.id}/activate"),
                caller.call("POST", ADMIN_USERS, json=sign_up_body(type="PROVIDER")),
            ]
            assert [answer.status_code for answer in attempts] == [403] * len(attempts)
        assert other.profile().json()["type"] == role

    @pytest.mark.owasp(line="API3")
    def test_properties_that_are_not_on_the_form_are_refused(
        self, admin: Actor, user: Actor
    ) -> None:
        for extra in ({"status": "INACTIVE"}, {"isEmailVerified": True}, {"_id": user.id}):
            name = next(iter(extra))
            body = sign_up_body(type="PROVIDER", **extra)
            assert_problem(admin.call("POST", ADMIN_USERS, json=body), 400, field=name)
            change = {"role": "PROVIDER", **extra}
            answer = admin.call("PUT", f"{ADMIN_USERS}/{user.id}/role", json=change)
            assert_problem(answer, 400, field=name)
        for role in ("king", {"$ne": "USER"}, ["ADMIN"], None, 1):
            answer = admin.call("PUT", f"{ADMIN_USERS}/{user.id}/role", json={"role": role})
            assert_problem(answer, 400, field="role")
        assert user.profile().json()["type"] == "USER"


class TestOpening:
    def test_an_administrator_opens_an_account_for_a_lab_assistant(
        self, admin: Actor, api: httpx.Client
    ) -> None:
        body = sign_up_body(type="LAB_ASSISTANT")
        answer = admin.call("POST", ADMIN_USERS, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["type"] == "LAB_ASSISTANT"
        login = {"email": body["email"], "password": body["password"]}
        assert api.post(f"{USERS}/login", json=login).status_code == 200

    def test_without_a_password_nobody_can_sign_in_before_a_reset(
        self, admin: Actor, api: httpx.Client
    ) -> None:
        body = sign_up_body(type="PROVIDER", email=new_email())
        del body["password"], body["confirmPassword"]
        assert admin.call("POST", ADMIN_USERS, json=body).status_code == 201
        login = {"email": body["email"], "password": "None"}
        assert api.post(f"{USERS}/login", json=login).status_code == 401

    @pytest.mark.owasp(line="API5")
    def test_administrators_are_appointed_not_opened(self, admin: Actor) -> None:
        body = sign_up_body(type="ADMIN")
        assert_problem(admin.call("POST", ADMIN_USERS, json=body), 400, field="type")

    def test_an_address_is_taken_once(self, admin: Actor, user: Actor) -> None:
        body = sign_up_body(type="PROVIDER", email=user.email)
        assert_problem(admin.call("POST", ADMIN_USERS, json=body), 409, code="email_taken")


class TestStanding:
    def test_a_change_counts_from_the_next_request_on_every_process(
        self, admin: Actor, people: People, start_api: StartApi
    ) -> None:
        person = people.new("USER", verified=True)
        elsewhere = person.at(start_api().client)
        assert person.profile().status_code == elsewhere.profile().status_code == 200

        assert change_role(admin, person, "ADMIN").json()["type"] == "ADMIN"
        # A rise signs every device out.
        assert [at.profile().status_code for at in (person, elsewhere)] == [401, 401]
        person = person.device()
        elsewhere = person.at(elsewhere.client)
        assert [at.call("GET", ADMIN_USERS).status_code for at in (person, elsewhere)] == [200, 200]
        assert change_role(admin, person, "USER").status_code == 200
        assert [at.call("GET", ADMIN_USERS).status_code for at in (person, elsewhere)] == [403, 403]

        assert deactivate(admin, person).json()["status"] == "INACTIVE"
        assert [at.profile().status_code for at in (person, elsewhere)] == [401, 401]

    def test_whoever_comes_back_signs_in_again(self, admin: Actor, user: Actor) -> None:
        assert deactivate(admin, user).status_code == 200
        answer = admin.call("POST", f"{ADMIN_USERS}/{user.id}/activate")
        assert answer.json()["status"] == "ACTIVE"
        assert user.profile().status_code == 401
        assert user.device().profile().status_code == 200

    def test_changing_nothing_is_no_error_and_signs_nobody_out(
        self, admin: Actor, user: Actor, store: Store
    ) -> None:
        assert change_role(admin, user, "USER").status_code == 200
        assert admin.call("POST", f"{ADMIN_USERS}/{user.id}/activate").status_code == 200
        assert user.profile().status_code == 200
        assert store.audit_log.count_documents({"target": f"user:{user.id}"}) == 0


@pytest.mark.owasp(line="API5")
class TestVerifiedAddress:
    """Anybody may write any address into a sign-up. What the staff may do is for verified ones only."""

    @pytest.mark.parametrize("role", ["ADMIN", "LAB_ASSISTANT"])
    def test_an_unverified_account_is_given_no_role_of_staff(
        self, admin: Actor, user: Actor, store: Store, role: str
    ) -> None:
        assert_problem(change_role(admin, user, role), 409, code="address_not_verified")
        assert deactivate(admin, user).status_code == 200
        assert_problem(change_role(admin, user, role), 409, code="address_not_verified")
        row = row_of(store.users, _id=ObjectId(user.id))
        assert (row["type"], row["status"]) == ("USER", "INACTIVE")

    def test_an_administrator_without_a_verified_address_does_not_come_back(
        self, admin: Actor, people: People, store: Store
    ) -> None:
        other = people.new("ADMIN")
        assert deactivate(admin, other).status_code == 200
        unverified = {"$set": {"isEmailVerified": False}}
        store.users.update_one({"_id": ObjectId(other.id)}, unverified)
        answer = admin.call("POST", f"{ADMIN_USERS}/{other.id}/activate")
        assert_problem(answer, 409, code="address_not_verified")

    @pytest.mark.anyio
    @pytest.mark.parametrize("door", ["sign-up", "administrator"])
    async def test_a_lab_assistant_works_once_the_address_is_verified(
        self, in_process: InProcess, sandbox: Sandbox, admin: Actor, user: Actor, door: str
    ) -> None:
        payment, _ = await asyncio.to_thread(user.buy, sandbox)
        body = sign_up_body(type="LAB_ASSISTANT")
        shown = f"{PAYMENTS}/{payment['referenceId']}"
        async with in_process(signup_types="USER,LAB_ASSISTANT") as client:
            if door == "sign-up":
                opened = await client.post(f"{USERS}/signup", json=body)
            else:
                opened = await client.post(ADMIN_USERS, json=body, headers=bearer(admin.token))
            assert (opened.status_code, opened.json()["isEmailVerified"]) == (201, False)
            login = {"email": body["email"], "password": body["password"]}
            signed_in = (await client.post(f"{USERS}/login", json=login)).json()
            mine = bearer(signed_in["token"])
            for method, path in (("GET", ""), ("GET", "/receipt"), ("POST", "/receipt")):
                refused = await client.request(method, shown + path, headers=mine)
                assert_problem(refused, 403, code="not_verified")
            assert (await client.get(f"{USERS}/profile", headers=mine)).status_code == 200
            administration = client.services.administration_service
            assert await administration.verify_address(Operator("asha"), body["email"])
            assert (await client.get(shown, headers=mine)).status_code == 200


@pytest.mark.owasp(line="API6")
class TestLastAdministrator:
    def test_the_last_one_stays(self, start_without_admins: Callable[[], People]) -> None:
        people = start_without_admins()
        admin, second = people.new("ADMIN"), people.new("ADMIN")
        assert deactivate(admin, second).status_code == 200
        # An inactive administrator is none: the other one is the last.
        assert_problem(change_role(admin, admin, "USER"), 409, code="last_admin")
        assert_problem(deactivate(admin, admin), 409, code="last_admin")
        assert admin.profile().json()["type"] == "ADMIN"
        assert admin.call("POST", f"{ADMIN_USERS}/{second.id}/activate").status_code == 200
        assert change_role(admin, admin, "USER").status_code == 200

    def test_two_cannot_remove_each_other_even_at_once(
        self, start_without_admins: Callable[[], People]
    ) -> None:
        people, other_process = start_without_admins(), start_without_admins()
        first, second = people.new("ADMIN"), people.new("ADMIN").at(other_process.client)
        with ThreadPoolExecutor(2) as pool:
            for turn in range(8):
                remove = deactivate if turn % 2 else change_to_user
                one = pool.submit(remove, first, second)
                two = pool.submit(remove, second, first)
                outcomes = sorted((one.result().status_code, two.result().status_code))
                # The loser finds itself locked out, not allowed, or the last one.
                assert outcomes[0] == 200
                assert outcomes[1] in (401, 403, 409)
                winner, loser = (first, second) if one.result().is_success else (second, first)
                assert winner.call("GET", ADMIN_USERS, params={"type": "ADMIN"}).status_code == 200
                assert winner.call("POST", f"{ADMIN_USERS}/{loser.id}/activate").is_success
                assert change_role(winner, loser, "ADMIN").is_success
                loser.token = loser.device().token

    @pytest.mark.anyio
    async def test_removals_take_turns(self, in_process: InProcess) -> None:
        async with in_process() as client:
            accounts = client.services.account_repository
            inside = asyncio.Event()
            leave = asyncio.Event()
            order: list[str] = []

            async def first() -> None:
                async with accounts.removing_admin():
                    inside.set()
                    await leave.wait()
                    order.append("first")

            async def second() -> None:
                await inside.wait()
                async with accounts.removing_admin():
                    order.append("second")

            tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
            await inside.wait()
            done, _ = await asyncio.wait(tasks, timeout=0.3)
            assert not done
            leave.set()
            await asyncio.gather(*tasks)
            assert order == ["first", "second"]

    @pytest.mark.anyio
    async def test_whoever_slept_past_the_end_of_the_lock_writes_nothing(
        self, in_process: InProcess, user: Actor
    ) -> None:
        async with in_process() as client:
            accounts = client.services.account_repository
            row = await accounts.get(id=user.id)
            past = datetime.now(UTC) - timedelta(seconds=1)
            standing = (Role.PROVIDER, UserStatus.ACTIVE)
            assert await accounts.change_standing(row, *standing, past) is None
            async with accounts.removing_admin() as until:
                assert await accounts.change_standing(row, *standing, until)
                # Another process has changed the row since it was read.
                standing = (Role.ADMIN, UserStatus.ACTIVE)
                assert await accounts.change_standing(row, *standing, until) is None
        assert user.profile().json()["type"] == "PROVIDER"


def change_to_user(admin: Actor, whose: Actor) -> httpx.Response:
    return change_role(admin, whose, "USER")
