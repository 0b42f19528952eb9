"""The second factor: codes of an authenticator and recovery codes, each of which works once."""

import asyncio
import re
from typing import Any

import httpx
import pytest
import segno
from bson import ObjectId

from kernapay.security.principal import Operator, Role
from kernapay.users.dtos import Account
from tests.actors import CONSOLE_SESSION, USERS, Actor, People, assert_problem
from tests.aliases import Json, Store
from tests.clocks import FrozenClock
from tests.console.desk import cookie_of, sent_with, totp
from tests.factories import PASSWORD
from tests.in_process import InProcess
from tests.stack import JWT_SECRET, STRONG_KEY_ID, STRONG_KEY_SECRET, bearer
from tests.threads import aside

pytestmark = [pytest.mark.anyio, pytest.mark.owasp(line="API2")]
FACTOR = f"{USERS}/second-factor"
PRODUCTION: dict[str, Any] = {
    "app_env": "production",
    "jwt_secret": "q8Zt2mVx7LcR4bNs9KdW1yHf6PgJ3aTe",
    "salt_rounds": 10,
    "razorpay_key_id": STRONG_KEY_ID,
    "razorpay_key_secret": STRONG_KEY_SECRET,
    "razorpay_webhook_secret": "Vx7LcR4bNs9KdW1yHf6PgJ3a",
    "razorpay_webhook_secret_previous": None,
}


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


class Person:
    """Somebody with an authenticator, at an application inside the test."""

    def __init__(self, client: httpx.AsyncClient, actor: Actor, clock: FrozenClock) -> None:
        self.client = client
        self._actor = actor
        self._clock = clock
        self.token = ""
        self.secret = ""
        self.recovery_codes: list[str] = []

    async def log_in(self, code: str | None = None, path: str = f"{USERS}/login") -> httpx.Response:
        body: Json = {"email": self._actor.email, "password": self._actor.password}
        if code is not None:
            body["code"] = code
        answer = await self.client.post(path, json=body)
        if answer.status_code == 200 and "token" in answer.json():
            self.token = answer.json()["token"]
        return answer

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body, headers=bearer(self.token))

    async def state(self) -> Json:
        found: Json = (await self.client.get(FACTOR, headers=bearer(self.token))).json()
        return found

    def code(self, steps: int = 0) -> str:
        return totp(self.secret, self._clock.now, steps)

    async def enrol(self) -> None:
        await self.log_in()
        challenge = (await self.post(FACTOR, currentPassword=self._actor.password)).json()
        self.secret = challenge["secret"]
        done = await self.post(
            f"{FACTOR}/confirm", challenge=challenge["challenge"], code=self.code()
        )
        assert done.status_code == 201, done.text
        self.recovery_codes = done.json()["recoveryCodes"]
        self._clock.advance(seconds=30)


async def test_the_key_is_drawn_as_the_code_that_an_authenticator_scans(
    in_process: InProcess, user: Actor, clock: FrozenClock
) -> None:
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.log_in()
        begun = (await person.post(FACTOR, currentPassword=user.password)).json()
    assert begun["uri"].startswith("otpauth://totp/")
    assert begun["secret"] in begun["uri"]
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", begun["qr"]["path"])
    assert "".join(f"M{x} {y}h{n}v1h-{back}z" for x, y, n, back in runs) == begun["qr"]["path"]
    dark = {(int(x) + each, int(y)) for x, y, n, _ in runs for each in range(int(n))}
    matrix = segno.make_qr(begun["uri"], error="m").matrix
    assert begun["qr"]["size"] == len(matrix)
    assert dark == {
        (x, y) for y, row in enumerate(matrix) for x, module in enumerate(row) if module & 1
    }


async def test_who_has_enrolled_signs_in_with_a_code_that_works_once(
    in_process: InProcess, user: Actor, clock: FrozenClock, store: Store
) -> None:
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.enrol()
        assert_problem(await person.log_in(), 401, code="second_factor_required")
        used_to_enrol = person.code(-1)
        assert_problem(await person.log_in(used_to_enrol), 401, code="wrong_second_factor")
        code = person.code()
        answers = await asyncio.gather(*(person.log_in(code) for _ in range(3)))
        assert sorted(each.status_code for each in answers) == [200, 401, 401]
        clock.advance(seconds=30)
        early = person.code(1)
        # Typed as an authenticator shows it, on a keyboard of another script.
        shown = early[:3] + " " + "".join(chr(0x966 + int(digit)) for digit in early[3:])
        assert (await person.log_in(shown)).status_code == 200
        assert_problem(await person.log_in(person.code()), 401, code="wrong_second_factor")
        assert_problem(await person.log_in(person.code(3)), 401, code="wrong_second_factor")
        # A wrong password is refused as ever, whatever the code.
        wrong = {"email": user.email, "password": "wrong zebra battery", "code": person.code(2)}
        answer = await client.post(f"{USERS}/login", json=wrong)
        assert_problem(answer, 401, code="unauthenticated")
        row = await asyncio.to_thread(store.second_factors.find_one, {"_id": ObjectId(user.id)})
        assert not [each for each in (person.secret, *person.recovery_codes) if each in str(row)]


async def test_a_recovery_code_works_once_and_the_factor_can_be_removed(
    in_process: InProcess, user: Actor, clock: FrozenClock, store: Store
) -> None:
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.enrol()
        assert len(set(person.recovery_codes)) == 10
        first = person.recovery_codes[0]
        assert (await person.log_in(f" {first.upper().replace('-', ' ')}")).status_code == 200
        assert_problem(await person.log_in(first), 401, code="wrong_second_factor")
        assert (await person.state())["recoveryCodesLeft"] == 9
        again = await person.post(FACTOR, currentPassword=user.password)
        assert_problem(again, 409, code="already_enrolled")
        for body, status in (
            ({"currentPassword": "x", "code": person.code()}, 400),
            ({"currentPassword": user.password, "code": first}, 401),
            ({"currentPassword": user.password, "code": person.code()}, 200),
            ({"currentPassword": user.password, "code": person.code(1)}, 404),
        ):
            assert (await person.post(f"{FACTOR}/disable", **body)).status_code == status
        assert await person.state() == {
            "isEnrolled": False,
            "since": None,
            "recoveryCodesLeft": 0,
        }
        assert (await person.log_in()).status_code == 200
    rows = await asyncio.to_thread(
        lambda: list(store.audit_log.find({"actor": user.id}).sort("_id"))
    )
    assert [row["action"] for row in rows] == ["second_factor.enable", "second_factor.disable"]


async def test_who_takes_an_account_over_is_not_locked_out_by_who_had_it(
    in_process: InProcess, user: Actor, clock: FrozenClock
) -> None:
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.enrol()
        new = "wrong zebra battery"
        account = Account(
            email=user.email, name="Asha Rao", password=new, confirm_password=new, type=Role.ADMIN
        )
        administration = client.services.administration_service
        await administration.appoint(Operator("root"), account, promote=True)
        credentials = {"email": user.email, "password": new}
        assert (await client.post(f"{USERS}/login", json=credentials)).status_code == 200


async def test_nothing_is_left_of_it_when_the_account_is_erased(
    in_process: InProcess, user: Actor, people: People, clock: FrozenClock, store: Store
) -> None:
    admin = aside(people.new)("ADMIN")
    rows = store.second_factors
    where = {"_id": ObjectId(user.id)}
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.enrol()
        assert await asyncio.to_thread(rows.count_documents, where) == 1
        for act in ("deactivate", "erase"):
            path = f"/v1/api/admin/users/{user.id}/{act}"
            answer = await client.post(path, headers=bearer(admin.token))
            assert answer.status_code == 200, answer.text
    assert await asyncio.to_thread(rows.count_documents, where) == 0


async def test_guesses_are_counted_by_account_and_then_refused(
    in_process: InProcess, user: Actor, clock: FrozenClock
) -> None:
    async with in_process(clock=clock, rate_limits="on", rate_limit_wrong_code="2/hour") as client:
        person = Person(client, user, clock)
        await person.enrol()
        for code in ("000000", "aaaa-aaaa-aaaa-aaaa"):
            assert_problem(await person.log_in(code), 401, code="wrong_second_factor")
        assert_problem(await person.log_in(person.code()), 429)
        assert_problem(await person.log_in(person.code(), CONSOLE_SESSION), 429)


async def test_an_enrolment_counts_for_its_account_its_time_and_its_password(
    in_process: InProcess, user: Actor, people: People, clock: FrozenClock
) -> None:
    stranger = people.new("USER")
    async with in_process(clock=clock) as client:
        person, other = Person(client, user, clock), Person(client, stranger, clock)
        await person.log_in()
        await other.log_in()
        begun = (await person.post(FACTOR, currentPassword=user.password)).json()
        confirm = f"{FACTOR}/confirm"

        def proof(steps: int = 0) -> Json:
            return {
                "challenge": begun["challenge"],
                "code": totp(begun["secret"], clock.now, steps),
            }

        assert_problem(await other.post(confirm, **proof()), 400, "challenge")
        assert_problem(await person.post(confirm, **proof(5)), 400, "code")
        clock.advance(minutes=16)
        assert_problem(await person.post(confirm, **proof()), 400, "challenge")
        begun = (await person.post(FACTOR, currentPassword=user.password)).json()
        new = "wrong zebra battery"
        changed = await client.put(
            f"{USERS}/password",
            json={"currentPassword": user.password, "password": new, "confirmPassword": new},
            headers=bearer(person.token),
        )
        person.token = changed.json()["token"]
        assert_problem(await person.post(confirm, **proof()), 400, "challenge")
        assert (await person.state())["isEnrolled"] is False


async def test_a_key_outlives_the_rotation_of_the_secret_that_sealed_it(
    in_process: InProcess, user: Actor, clock: FrozenClock
) -> None:
    newer, newest = "newer-" + JWT_SECRET, "newest-" + JWT_SECRET
    async with in_process(clock=clock) as client:
        person = Person(client, user, clock)
        await person.enrol()
    async with in_process(clock=clock, jwt_secret=newer, jwt_secret_previous=JWT_SECRET) as client:
        person.client = client
        assert (await person.log_in(person.code())).status_code == 200
    clock.advance(seconds=30)
    async with in_process(clock=clock, jwt_secret=newest, jwt_secret_previous=newer) as client:
        person.client = client
        assert (await person.log_in(person.code())).status_code == 200
    clock.advance(seconds=30)
    async with in_process(clock=clock, jwt_secret="else-" + JWT_SECRET) as client:
        person.client = client
        answer = await person.log_in(person.code())
        assert_problem(answer, 401, code="wrong_second_factor")
        assert (await person.log_in(person.recovery_codes[0])).status_code == 200


async def test_an_administrator_of_production_enrols_before_the_console_opens(
    in_process: InProcess, people: People, clock: FrozenClock, store: Store
) -> None:
    admin, assistant = (aside(people.new)(role) for role in ("ADMIN", "LAB_ASSISTANT"))
    credentials = {"email": admin.email, "password": PASSWORD}
    async with in_process(clock=clock, **PRODUCTION) as client:
        demanded = await client.post(CONSOLE_SESSION, json=credentials)
        assert demanded.status_code == 202
        assert "set-cookie" not in demanded.headers
        begun = demanded.json()
        path = f"{CONSOLE_SESSION}/enrolment"
        wrong = {"challenge": begun["challenge"], "code": "000000"}
        assert_problem(await client.post(path, json=wrong), 400, "code")
        right = {**wrong, "code": totp(begun["secret"], clock.now)}
        opened = await client.post(path, json=right)
        assert opened.status_code == 201, opened.text
        cookie = cookie_of(opened)
        assert len(opened.json()["recoveryCodes"]) == 10
        assert opened.json()["session"]["hasSecondFactor"] is True
        seen = await client.get(CONSOLE_SESSION, **sent_with(cookie))
        assert seen.json()["hasSecondFactor"] is True
        # A second time, it opens nothing.
        assert_problem(await client.post(path, json=right), 409, code="already_enrolled")
        answer = await client.post(CONSOLE_SESSION, json=credentials)
        assert_problem(answer, 401, code="second_factor_required")
        clock.advance(seconds=30)
        code = {"code": totp(begun["secret"], clock.now)}
        assert (await client.post(CONSOLE_SESSION, json=credentials | code)).status_code == 200
        other = {"email": assistant.email, "password": PASSWORD}
        assert (await client.post(CONSOLE_SESSION, json=other)).status_code == 200
    (entry,) = await asyncio.to_thread(lambda: list(store.audit_log.find({"actor": admin.id})))
    assert (entry["action"], entry["target"]) == ("second_factor.enable", f"user:{admin.id}")


async def test_production_may_do_without_by_a_setting(
    in_process: InProcess, admin: Actor, clock: FrozenClock
) -> None:
    credentials = {"email": admin.email, "password": PASSWORD}
    async with in_process(clock=clock, console_second_factor=False, **PRODUCTION) as client:
        assert (await client.post(CONSOLE_SESSION, json=credentials)).status_code == 200
