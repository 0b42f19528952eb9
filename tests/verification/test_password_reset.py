import asyncio
import json
import random
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.actors import USERS, assert_problem
from tests.database_commands import Command, noted_commands
from tests.factories import PASSWORD, new_email
from tests.verification.conftest import OpenWorld, World, wrong
from tests.verification.provider import Answer
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.owasp(line="API2")]
NEW = "a whole new battery"
ODD = ("a@b\nBcc: x@example.com", "a\x00b@example.com", "<b>@example.com", "\ud800@x.in", "…")


async def test_a_code_from_the_mail_sets_a_new_password(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    answer = await world.reset(asha.email, code, NEW)
    assert answer.status_code == 200, answer.text
    assert (await world.log_in(asha.email, NEW)).status_code == 200
    assert_problem(await world.log_in(asha.email, PASSWORD), 401)


async def test_a_reset_ends_every_session(world: World) -> None:
    asha = await world.person()
    other = (await world.log_in(asha.email)).json()["token"]
    await asha.profile()  # both are cached
    code = await world.forgotten(asha.email)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200
    for token in (asha.token, other):
        headers = {"Authorization": f"Bearer {token}"}
        answer = await world.client.get(f"{USERS}/profile", headers=headers)
        assert_problem(answer, 401, code="unauthenticated")


async def test_after_a_reset_the_owner_may_have_a_new_code(world: World) -> None:
    """Also where somebody with a look into the mailbox used up the period's codes, and reset with one of them."""
    asha = await world.person()
    for _ in range(3):
        code = await world.forgotten(asha.email)
        world.clock.advance(seconds=61)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200
    await world.text("email", 3)  # the notice
    again = await world.forgotten(asha.email)
    assert (await world.reset(asha.email, again, PASSWORD)).status_code == 200


async def test_codes_of_an_earlier_version_block_no_reset(world: World) -> None:
    """Its periods had ten codes and a day."""
    asha = await world.person()
    code = await world.forgotten(asha.email)
    at = world.clock()
    old = {"issued": 5, "dayEnds": at + timedelta(hours=20), "sentAt": at - timedelta(hours=4)}
    change = {"$set": {**old, "expiresAt": at - timedelta(hours=3)}}
    await asyncio.to_thread(
        world.store.codes.update_many, {"_id": {"$regex": "^password:"}}, change
    )
    assert_problem(await world.reset(asha.email, code, NEW), 400, code="wrong_code")
    again = await world.forgotten(asha.email)
    assert (await world.reset(asha.email, again, NEW)).status_code == 200


async def test_a_code_is_still_good_when_hashing_was_too_busy(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    pool, hasher = world.services.hashing_pool, world.services.password_hasher
    gate = threading.Event()
    held = [asyncio.create_task(pool.run(gate.wait)) for _ in range(pool.size)]
    busy = [asyncio.create_task(hasher.hash(NEW, "127.0.0.1")) for _ in range(64)]
    await asyncio.sleep(0)
    assert_problem(await world.reset(asha.email, code, NEW), 429, code="too_many_requests")
    gate.set()
    await asyncio.gather(*held, *busy)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200


async def test_the_owner_is_told_of_the_change(world: World) -> None:
    asha = await world.person()
    await world.reset(asha.email, await world.forgotten(asha.email), NEW)
    notice = await world.text("email", 1)
    assert "password was reset" in notice
    assert NEW not in notice


async def test_an_address_is_found_however_it_is_written(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(f" {asha.email.upper()} ")
    assert (await world.reset(asha.email.title(), code, NEW)).status_code == 200


async def test_the_answer_does_not_tell_whether_the_address_is_known(world: World) -> None:
    asha, gone = await world.person(), await world.person()
    await world.services.user_repository.update_where({"id": gone.id}, set__status="INACTIVE")
    addresses = (asha.email, gone.email, new_email(), "not an address", "x@mailinator.com")
    for round_ in range(2):  # the second within the minute
        answers = [await world.forgot(address) for address in addresses]
        assert {answer.status_code for answer in answers} == {202}, round_
        assert len({answer.content for answer in answers}) == 1
        names = [sorted(set(a.headers) - {"x-request-id", "date"}) for a in answers]
        assert all(name == names[0] for name in names)
    await until(lambda: world.mail.received)
    await world.services.outbox.sweep()
    assert len(world.mail.received) == 1
    assert world.mail.accepted[0]["personalizations"][0]["to"] == [{"email": asha.email}]


async def test_a_wrong_code_and_an_unknown_address_get_one_answer(world: World) -> None:
    asha = await world.person()
    stranger = new_email()
    code = await world.forgotten(asha.email)
    await world.forgot(stranger)
    bodies = []
    for address in (asha.email, stranger, new_email(), "not an address"):
        answer = await world.reset(address, wrong(code), NEW)
        problem = assert_problem(answer, 400, "code", "wrong_code")
        problem.pop("requestId")
        bodies.append(problem)
    assert all(body == bodies[0] for body in bodies)


STRANGER = {"X-Forwarded-For": "203.0.113.66"}
OWNER = {"X-Forwarded-For": "198.51.100.7"}
LIMITED = {"rate_limits": True, "trusted_proxies": "127.0.0.1", "rate_limit_signup": "off"}


async def test_a_strangers_wrong_codes_take_nothing_from_the_owner(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED) as world:
        asha = await world.person()
        code = await world.forgotten(asha.email)

        async def guess(who: dict[str, str]) -> int:
            body = {"email": asha.email, "code": wrong(code), "password": NEW}
            answer = await world.client.post(
                f"{USERS}/password/reset", json={**body, "confirmPassword": NEW}, headers=who
            )
            if answer.status_code == 429:
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
                assert_problem(answer, 429, code="too_many_requests")
            return answer.status_code

        statuses = await asyncio.gather(*(guess(STRANGER) for _ in range(30)))
        assert sorted(statuses) == [400] * 5 + [429] * 25, "at once, but counted one by one"
        assert await guess(OWNER) == 400, "the owner has attempts of their own"
        body = {"email": asha.email, "code": code, "password": NEW, "confirmPassword": NEW}
        answer = await world.client.post(f"{USERS}/password/reset", json=body, headers=OWNER)
        assert answer.status_code == 200, answer.text


async def test_strangers_requests_do_not_end_the_owners_code(world: World) -> None:
    """However many are made, in the hour of the owner's code and in the next one."""
    asha = await world.person()
    world.clock.advance(minutes=1)
    await world.forgotten(asha.email)
    world.clock.advance(minutes=55)
    code = await world.forgotten(asha.email)
    for _ in range(27):
        world.clock.advance(minutes=2)
        await world.forgot(asha.email)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200


@pytest.mark.parametrize("pause", [61, 1000, 1790])
async def test_when_no_code_is_sent_an_earlier_one_is_valid(world: World, pause: int) -> None:
    """Whoever uses up the mails of an hour, the owner finds a code in the mailbox that works."""
    asha = await world.person()
    codes: list[str] = []
    for _ in range(12):
        sent = len(await world.rows("messages", userId=ObjectId(asha.id)))
        await world.forgot(asha.email)
        if len(await world.rows("messages", userId=ObjectId(asha.id))) > sent:
            codes.append(await world.code("email", sent))
        world.clock.advance(seconds=pause)
    sent = len(codes)
    await world.forgot(asha.email)
    if len(await world.rows("messages", userId=ObjectId(asha.id))) > sent:
        codes.append(await world.code("email", sent))
    assert (await world.reset(asha.email, codes[-1], NEW)).status_code == 200


async def test_a_reset_ends_all_codes_that_were_sent(world: World) -> None:
    asha = await world.person()
    codes = []
    for _ in range(3):
        codes.append(await world.forgotten(asha.email))
        world.clock.advance(seconds=61)
    assert (await world.reset(asha.email, codes[1], NEW)).status_code == 200
    for code in codes:
        answer = await world.reset(asha.email, code, "another new battery")
        assert_problem(answer, 400, "code", "wrong_code")


async def test_one_client_does_not_have_codes_sent_without_end(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED, rate_limit_codes_from="4/hour") as world:

        async def forget(who: dict[str, str]) -> int:
            body = {"email": new_email()}
            path = f"{USERS}/password/forgot"
            return (await world.client.post(path, json=body, headers=who)).status_code

        assert [await forget(STRANGER) for _ in range(6)] == [202] * 4 + [429] * 2
        assert await forget(OWNER) == 202


async def test_codes_to_nobody_use_up_nothing_of_the_total(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED, rate_limit_codes_in_all="3/hour") as world:
        for _ in range(8):
            assert (await world.forgot(new_email())).status_code == 202
        people = [await world.person() for _ in range(4)]
        answers = [await world.forgot(person.email) for person in people]
        assert {answer.status_code for answer in answers} == {202}, "it tells nobody who is known"
        await until(lambda: len(world.messages("email")) == 3)
        assert await world.rows("messages", userId=ObjectId(people[3].id)) == []


async def test_a_code_works_once_even_at_once(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    words = [f"a whole new battery {n}" for n in range(4)]
    answers = await asyncio.gather(*(world.reset(asha.email, code, word) for word in words))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    winner = words[[answer.status_code for answer in answers].index(200)]
    assert (await world.log_in(asha.email, winner)).status_code == 200


async def test_a_code_ends_after_an_hour(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    world.clock.advance(hours=1, seconds=1)
    assert_problem(await world.reset(asha.email, code, NEW), 400, "code", "wrong_code")


async def test_a_code_for_the_address_does_not_reset_and_the_other_way_round(
    world: World,
) -> None:
    """They do not even look alike: a reset can be tried by anybody, so its code is longer."""
    asha = await world.person()
    verify = await asha.request("email")
    reset = await world.forgotten(asha.email)
    assert (len(verify), len(reset)) == (6, 12)
    assert_problem(await world.reset(asha.email, verify, NEW), 400, "code")
    assert_problem(await asha.confirm("email", reset), 400, "code")
    assert (await world.reset(asha.email, reset, NEW)).status_code == 200


async def test_a_code_resets_no_other_account(world: World) -> None:
    asha, mallory = await world.person(), await world.person()
    await world.forgotten(asha.email)
    code = await world.forgotten(mallory.email)
    assert_problem(await world.reset(asha.email, code, NEW), 400, "code", "wrong_code")
    assert (await world.log_in(asha.email)).status_code == 200


async def test_an_account_that_was_closed_meanwhile_is_not_reset(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    await world.services.user_repository.update_where({"id": asha.id}, set__status="INACTIVE")
    assert_problem(await world.reset(asha.email, code, NEW), 400, "code", "wrong_code")


@pytest.mark.parametrize(
    ("password", "confirm", "field"),
    [
        ("short", "short", "password"),
        ("a whole new battery", "a whole other battery", "confirmPassword"),
        ("x" * 129, "x" * 129, "password"),
        ("nul\x00 in the middle", "nul\x00 in the middle", "password"),
        ("password123", "password123", "password"),
    ],
)
async def test_the_new_password_has_to_be_a_good_one_and_costs_no_attempt(
    world: World, password: str, confirm: str, field: str
) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    for _ in range(6):
        answer = await world.reset(asha.email, code, password, confirmPassword=confirm)
        assert_problem(answer, 400, field)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200


async def test_a_password_that_is_little_more_than_the_name_is_refused_to_who_has_the_code_only(
    world: World,
) -> None:
    asha = await world.person(name="Asha Venkataraman")
    code = await world.forgotten(asha.email)
    word = "venkataraman1"
    assert_problem(await world.reset(asha.email, wrong(code), word), 400, "code", "wrong_code")
    assert_problem(await world.reset(asha.email, code, word), 400, "password")
    assert_problem(await world.log_in(asha.email, word), 401)
    # A refused password is no wrong code.
    assert (await world.reset(asha.email, code, NEW)).status_code == 200


async def test_a_code_of_the_days_last_minutes_is_not_deleted_alive(world: World) -> None:
    asha = await world.person()
    before = {row["_id"] for row in await world.rows("codes")}
    await world.forgotten(asha.email)
    world.clock.advance(hours=23, minutes=55)
    code = await world.forgotten(asha.email)
    (row,) = [row for row in await world.rows("codes") if row["_id"] not in before]
    assert row["dayEnds"] >= row["expiresAt"], "the database deletes the row when its day ends"
    world.clock.advance(minutes=9)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200


async def test_a_long_password_counts_to_its_end(world: World) -> None:
    asha = await world.person()
    word = "correct horse battery staple " * 4
    code = await world.forgotten(asha.email)
    assert (await world.reset(asha.email, code, word)).status_code == 200
    assert_problem(await world.log_in(asha.email, word[:72]), 401)
    assert (await world.log_in(asha.email, word)).status_code == 200


async def test_malformed_bodies_are_clear_errors(world: World) -> None:
    whole = {
        "email": "a@example.com",
        "code": "123456",
        "password": NEW,
        "confirmPassword": NEW,
    }
    bodies: list[tuple[str, Any]] = [
        ("forgot", {}),
        ("forgot", {"email": {"$gt": ""}}),
        ("forgot", {"email": ["a@example.com"]}),
        ("forgot", {"email": "a" * 255}),
        ("forgot", {"email": "a@example.com", "userId": "66b1f0c2a7d4e5f601234567"}),
        ("reset", {"email": "a@example.com"}),
        ("reset", {**whole, "code": {"$ne": None}}),
        ("reset", {**whole, "type": "ADMIN"}),
    ]
    for path, body in bodies:
        answer = await world.client.post(f"{USERS}/password/{path}", json=body)
        assert_problem(answer, 400, code="invalid_input")


async def test_odd_addresses_are_nobodys(world: World) -> None:
    for email in ODD:
        reset = {"email": email, "code": "123456", "password": NEW, "confirmPassword": NEW}
        for path, body in (("forgot", {"email": email}), ("reset", reset)):
            answer = await world.client.post(
                f"{USERS}/password/{path}",
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code in (202, 400), answer.text
    assert world.mail.received == []


async def test_known_and_unknown_addresses_cost_the_same_database_work(world: World) -> None:
    known = [(await world.person()).email for _ in range(3)]
    unknown = [new_email() for _ in range(3)]
    # No nudge: what is sent after the answer is not part of the answer.
    resets = world.services.password_reset_service

    async def work(address: str) -> list[Command]:
        with noted_commands() as commands:
            await resets.forgot(address, "192.0.2.1")
        return commands

    for first in (True, False):  # the second time within the minute
        costs = [await work(address) for address in (*known, *unknown)]
        wanted = {"users", "codes", "messages"} if first else {"users", "codes"}
        assert {command.collection for command in costs[0]} == wanted
        assert all(cost == costs[0] for cost in costs), costs


async def test_the_time_taken_does_not_tell_whether_the_address_is_known(
    world: World, store: Database[dict[str, Any]]
) -> None:
    known = [new_email() for _ in range(100)]
    rows = [
        {"email": address, "name": "Asha", "password": "x", "type": "USER", "status": "ACTIVE"}
        for address in known
    ]
    await asyncio.to_thread(store.users.insert_many, rows)
    addresses = [(address, True) for address in known]
    addresses += [(new_email(), False) for _ in known]
    random.Random(7).shuffle(addresses)
    times: dict[bool, list[float]] = {True: [], False: []}
    for address, is_known in addresses:
        began = time.perf_counter()
        assert (await world.forgot(address)).status_code == 202
        times[is_known].append(time.perf_counter() - began)
        # The sending that follows an answer must not fall into the next measurement.
        await world.services.outbox.drain()
    assert abs(advantage(times[True], times[False]) - 0.5) < 0.2


async def test_no_address_stands_in_the_row_of_a_code(world: World) -> None:
    """The database writes ids into its own log."""
    known, unknown = (await world.person()).email, new_email()
    for address in (known, unknown):
        await world.forgot(address)
        assert address not in repr(await world.rows("codes"))


async def test_who_resets_the_password_need_not_wait_for_wrong_ones_before(
    open_world: OpenWorld,
) -> None:
    async with open_world(rate_limits=True) as world:
        asha = await world.person()
        while (answer := await world.log_in(asha.email, "not the password")).status_code == 401:
            continue
        assert_problem(answer, 429)
        answer = await world.reset(asha.email, await world.forgotten(asha.email), NEW)
        assert answer.status_code == 200, answer.text
        assert (await world.log_in(asha.email, NEW)).status_code == 200


async def test_the_time_of_a_wrong_code_does_not_tell_whether_the_address_is_known(
    world: World, store: Database[dict[str, Any]]
) -> None:
    people = [await world.person() for _ in range(8)]
    known, unknown = [person.email for person in people], [new_email() for _ in people]
    before = len(await world.rows("codes"))
    for address in (*known, *unknown):
        await world.forgot(address)
    assert len(await world.rows("codes")) - before == len(known) + len(unknown)
    times: dict[bool, list[float]] = {True: [], False: []}
    addresses = [(a, True) for a in known * 10] + [(a, False) for a in unknown * 10]
    random.Random(7).shuffle(addresses)
    for address, is_known in addresses:
        began = time.perf_counter()
        assert (await world.reset(address, "0" * 12, NEW)).status_code == 400
        times[is_known].append(time.perf_counter() - began)
    assert abs(advantage(times[True], times[False]) - 0.5) < 0.2


def advantage(these: list[float], those: list[float]) -> float:
    """How often one of these is longer than one of those: 0.5 when nothing can be learnt from a time."""
    longer = sum(a > b for a in these for b in those)
    return longer / (len(these) * len(those))


@pytest.mark.owasp(line="API6")
async def test_a_flood_of_requests_for_one_address_sends_few_mails(world: World) -> None:
    asha = await world.person()
    answers = await asyncio.gather(*(world.forgot(asha.email) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    await world.text("email", 0)
    for _ in range(29):
        # A mail that the clock overtakes on its way expires, or is sent a second time.
        await world.services.outbox.drain()
        world.clock.advance(minutes=2)
        await world.forgot(asha.email)
    await world.services.outbox.drain()
    rows = await world.rows("messages", userId=ObjectId(asha.id))
    assert [row["status"] for row in rows] == ["sent"] * 3
    assert len(world.messages("email")) == 3


async def test_what_is_asked_for_unknown_addresses_is_not_kept(world: World) -> None:
    stranger = new_email()
    await world.forgot(stranger)
    rows = await world.rows("messages", status="discarded")
    assert rows
    assert all("to" not in row and "sealedText" not in row for row in rows)
    assert stranger not in repr(rows)


async def test_a_provider_that_is_away_fails_no_reset(world: World) -> None:
    asha = await world.person()
    code = await world.forgotten(asha.email)
    world.mail.always = Answer(503)
    assert (await world.reset(asha.email, code, NEW)).status_code == 200
    assert (await world.log_in(asha.email, NEW)).status_code == 200
