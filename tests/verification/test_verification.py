import asyncio
import hashlib

import pytest

from kernapay.verification.codes import Codes
from kernapay.verification.models import Purpose
from kernapay.verification.repository import CodeRepository
from tests.actors import USERS, VERIFICATION, assert_problem
from tests.factories import new_email
from tests.stack import bearer
from tests.verification.conftest import OpenWorld, World, wrong
from tests.waiting import until

pytestmark = pytest.mark.anyio
CHANNELS = pytest.mark.parametrize("channel", ["email", "mobile"])
FLAG = {"email": "isEmailVerified", "mobile": "isMobileNumberVerified"}


@CHANNELS
async def test_a_code_verifies_the_contact_it_was_sent_to(world: World, channel: str) -> None:
    asha = await world.person()
    assert (await asha.profile())[FLAG[channel]] is False  # and now it is cached
    code = await asha.request(channel)
    answer = await asha.confirm(channel, code)
    assert answer.status_code == 200, answer.text
    assert answer.json()[FLAG[channel]] is True
    profile = await asha.profile()
    assert profile[FLAG[channel]] is True
    assert [profile[flag] for flag in FLAG.values()].count(True) == 1


async def test_the_messages_go_where_they_should_and_name_code_and_lifetime(
    open_world: OpenWorld,
) -> None:
    async with open_world(sender_name="Asha's shop") as world:
        asha = await world.person(mobileNumber=9876501234)
        code = await asha.request("email")
        mail = world.mail.accepted[0]
        assert mail["personalizations"] == [{"to": [{"email": asha.email}]}]
        assert mail["from"] == {"email": "pay@example.com", "name": "Asha's shop"}
        assert code in world.messages("email")[0]
        assert code not in mail["subject"]
        assert "10 minutes" in world.messages("email")[0]
        code = await asha.request("mobile")
        assert world.texts.accepted[0]["numbers"] == "9876501234"
        assert world.messages("mobile")[0].startswith(f"{code} is your Asha's shop code")
        assert "10 minutes" in world.messages("mobile")[0]


@CHANNELS
async def test_the_answer_to_a_request_tells_when_and_masks_where(
    world: World, channel: str
) -> None:
    asha = await world.person()
    answer = await asha.post(f"{VERIFICATION}/{channel}/request")
    assert answer.status_code == 202
    body = answer.json()
    await world.text(channel, 0)
    assert set(body) == {"message", "sentTo", "expiresAt", "resendAt", "success"}
    assert body["resendAt"] < body["expiresAt"]
    assert body["expiresAt"].endswith("Z")
    assert asha.email not in answer.text
    assert "9876543210" not in answer.text
    assert body["sentTo"] == ("a…@example.com" if channel == "email" else "+91…210")


@CHANNELS
@pytest.mark.owasp(line="API2")
async def test_a_code_works_once(world: World, channel: str) -> None:
    asha = await world.person()
    code = await asha.request(channel)
    answers = await asyncio.gather(*(asha.confirm(channel, code) for _ in range(5)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 200
    assert statuses.count(200) == 1
    assert_problem(await asha.confirm(channel, code), 409, code="already_verified")
    assert_problem(
        await asha.post(f"{VERIFICATION}/{channel}/request"), 409, code="already_verified"
    )


@CHANNELS
async def test_a_code_ends_after_ten_minutes(world: World, channel: str) -> None:
    asha, ravi = await world.person(), await world.person()
    asha_code, ravi_code = await asha.request(channel), await ravi.request(channel)
    world.clock.advance(minutes=9, seconds=55)
    assert (await asha.confirm(channel, asha_code)).status_code == 200
    world.clock.advance(seconds=10)
    assert_problem(await ravi.confirm(channel, ravi_code), 400, "code", "wrong_code")


@CHANNELS
@pytest.mark.owasp(line="API2")
async def test_five_attempts_are_all_there_are_even_at_once(world: World, channel: str) -> None:
    asha = await world.person()
    code = await asha.request(channel)
    tries = await asyncio.gather(*(asha.confirm(channel, wrong(code)) for _ in range(12)))
    for answer in tries:
        assert_problem(answer, 400, "code", "wrong_code")
    assert_problem(await asha.confirm(channel, code), 400, "code", "wrong_code")
    assert (await asha.profile())[FLAG[channel]] is False
    world.clock.advance(seconds=61)
    assert (await asha.confirm(channel, await asha.request(channel))).status_code == 200


@CHANNELS
async def test_the_fifth_attempt_may_be_the_right_one(world: World, channel: str) -> None:
    asha = await world.person()
    code = await asha.request(channel)
    for _ in range(4):
        assert (await asha.confirm(channel, wrong(code))).status_code == 400
    assert (await asha.confirm(channel, code)).status_code == 200


@CHANNELS
@pytest.mark.owasp(line="API6")
async def test_another_code_is_sent_after_a_minute_and_not_before(
    world: World, channel: str
) -> None:
    asha = await world.person()
    first = await asha.request(channel)
    world.clock.advance(seconds=20)
    refused = await asha.post(f"{VERIFICATION}/{channel}/request")
    assert_problem(refused, 429, code="code_too_soon")
    assert 30 <= int(refused.headers["Retry-After"]) <= 40
    world.clock.advance(seconds=int(refused.headers["Retry-After"]))
    second = await asha.request(channel)
    if first != second:
        assert_problem(await asha.confirm(channel, first), 400, "code", "wrong_code")
    assert (await asha.confirm(channel, second)).status_code == 200
    assert len(world.messages(channel)) == 2


@pytest.mark.owasp(line="API6")
async def test_simultaneous_requests_send_one_code(world: World) -> None:
    asha = await world.person()
    answers = await asyncio.gather(*(asha.post(f"{VERIFICATION}/mobile/request") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] + [429] * 7
    code = await world.code("mobile", 0)
    await world.settled(asha, "sent")
    assert len(world.messages("mobile")) == 1
    assert (await asha.confirm("mobile", code)).status_code == 200


@pytest.mark.owasp(line="API6")
async def test_ten_codes_a_day_are_enough(world: World) -> None:
    asha = await world.person()
    for _ in range(10):
        await asha.request("mobile")
        world.clock.advance(minutes=2)
    refused = await asha.post(f"{VERIFICATION}/mobile/request")
    assert_problem(refused, 429, code="code_too_soon")
    assert 23 * 3600 < int(refused.headers["Retry-After"]) < 24 * 3600
    world.clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert (await asha.confirm("mobile", await asha.request("mobile"))).status_code == 200


# All people of these tests have one client address; what it may do is tested elsewhere.
LIMITED = {
    "rate_limits": True,
    "rate_limit_codes_from": "off",
    "rate_limit_signup": "off",
    "rate_limit_login": "off",
}


@pytest.mark.owasp(line="API4")
async def test_twenty_accounts_with_one_number_send_it_few_texts(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED) as world:
        people = [await world.person(mobileNumber=9876501234) for _ in range(20)]
        other = await world.person(mobileNumber=9876501235)
        path = f"{VERIFICATION}/mobile/request"
        answers = await asyncio.gather(*(person.post(path) for person in people))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 17
        for answer in answers:
            if answer.status_code == 429:
                assert_problem(answer, 429, code="too_many_requests")
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert (await other.post(path)).status_code == 202, "another number has its own count"
        await until(lambda: len(world.messages("mobile")) == 4)


@pytest.mark.owasp(line="API4")
async def test_texts_have_a_limit_in_all(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED, rate_limit_codes_in_all="2/hour") as world:
        people = [await world.person(mobileNumber=9876502230 + n) for n in range(4)]
        answers = [await person.post(f"{VERIFICATION}/mobile/request") for person in people]
        assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
        answer = await people[0].post(f"{VERIFICATION}/email/request")
        assert answer.status_code == 202, "mails have their own"


@pytest.mark.owasp(line="API4")
async def test_an_impatient_owner_does_not_use_up_the_number(open_world: OpenWorld) -> None:
    async with open_world(**LIMITED) as world:
        asha = await world.person(mobileNumber=9876503330)
        for _ in range(3):
            answers = [await asha.post(f"{VERIFICATION}/mobile/request") for _ in range(5)]
            assert [answer.status_code for answer in answers] == [202] + [429] * 4
            world.clock.advance(seconds=61)


async def test_a_change_of_the_number_voids_the_code(world: World) -> None:
    asha = await world.person(mobileNumber=9876543210)
    code = await asha.request("mobile")
    changed = await asha.call("PUT", f"{USERS}/update", json={"mobileNumber": 9876543211})
    assert changed.status_code == 200
    assert_problem(await asha.confirm("mobile", code), 400, "code", "wrong_code")
    assert (await asha.profile())["isMobileNumberVerified"] is False


async def test_a_new_number_has_to_be_verified_again(world: World) -> None:
    asha = await world.person(mobileNumber=9876543210)
    assert (await asha.confirm("mobile", await asha.request("mobile"))).status_code == 200
    await asha.call("PUT", f"{USERS}/update", json={"mobileNumber": 9876543211})
    assert (await asha.profile())["isMobileNumberVerified"] is False
    world.clock.advance(minutes=1)
    assert (await asha.confirm("mobile", await asha.request("mobile"))).status_code == 200
    assert world.texts.accepted[-1]["numbers"] == "9876543211"


async def test_a_changed_number_does_not_shorten_the_wait(world: World) -> None:
    asha = await world.person(mobileNumber=9876543210)
    await asha.request("mobile")
    await asha.call("PUT", f"{USERS}/update", json={"mobileNumber": 9876543211})
    assert_problem(await asha.post(f"{VERIFICATION}/mobile/request"), 429, code="code_too_soon")


@pytest.mark.owasp(line="API2")
async def test_a_code_serves_its_owner_and_its_purpose_only(world: World) -> None:
    asha, mallory = await world.person(), await world.person()
    code = await asha.request("email")
    await mallory.request("email")
    assert_problem(await mallory.confirm("email", code), 400, "code", "wrong_code")
    await asha.request("mobile")
    world.clock.advance(minutes=1)
    mobile = await asha.request("mobile")
    if mobile != code:
        assert_problem(await asha.confirm("email", mobile), 400, "code", "wrong_code")
    assert (await asha.confirm("email", code)).status_code == 200


async def test_a_code_that_was_never_asked_for_is_wrong(world: World) -> None:
    asha = await world.person()
    assert_problem(await asha.confirm("email", "000000"), 400, "code", "wrong_code")


async def test_a_malformed_code_is_a_clear_error(world: World) -> None:
    asha = await world.person()
    bodies: list[object] = [
        {},
        {"code": ""},
        {"code": "12345"},
        {"code": "1234567"},
        {"code": 123456},
        {"code": "12345a"},
        {"code": {"$ne": None}},
        {"code": ["123456"]},
        {"code": "123456", "isEmailVerified": True},
        {"code": "123456\x00"},
        [],
        None,
    ]
    for body in bodies:
        answer = await asha.post(f"{VERIFICATION}/email/confirm", body)
        assert_problem(answer, 400, code="invalid_input")


async def test_strangers_are_sent_away(world: World) -> None:
    for channel in FLAG:
        for step, body in (("request", None), ("confirm", {"code": "123456"})):
            answer = await world.client.post(f"{VERIFICATION}/{channel}/{step}", json=body)
            assert_problem(answer, 401, code="unauthenticated")


@pytest.mark.parametrize("flag", FLAG.values())
@pytest.mark.owasp(line="API3")
async def test_nobody_can_declare_themselves_verified(world: World, flag: str) -> None:
    asha = await world.person()
    answer = await asha.call("PUT", f"{USERS}/update", json={flag: True})
    assert_problem(answer, 400, flag)
    body = {"email": new_email(), "password": "correct horse battery", flag: True}
    assert_problem(await world.client.post(f"{USERS}/signup", json=body), 400)
    assert (await asha.profile())[flag] is False


async def test_a_number_the_provider_does_not_serve_is_a_clear_conflict(world: World) -> None:
    asha = await world.person(mobileNumber=7911123456, countryCode="+44")
    answer = await asha.post(f"{VERIFICATION}/mobile/request")
    assert_problem(answer, 409, code="number_unreachable")
    assert world.texts.received == []


@CHANNELS
async def test_without_a_provider_the_request_is_a_clear_503(
    open_world: OpenWorld, channel: str
) -> None:
    async with open_world(email_api_key=None, fast_2_sms_key=None) as world:
        asha = await world.person()
        answer = await asha.post(f"{VERIFICATION}/{channel}/request")
        assert_problem(answer, 503, code="delivery_not_configured")
        answer = await world.forgot(asha.email)
        assert_problem(answer, 503, code="delivery_not_configured")


@pytest.mark.owasp(line="API2")
async def test_codes_are_stored_as_keyed_digests(world: World) -> None:
    asha = await world.person()
    others = [row["_id"] for row in await world.rows("codes")]
    code = await asha.request("email")
    (row,) = await world.rows("codes", _id={"$nin": others})
    assert code not in repr(row)
    assert asha.id not in row["_id"]
    guesses = (code, f"{row['_id']}\0{asha.email}\0{code}", f"{asha.email}{code}")
    assert row["digest"] not in {hashlib.sha256(g.encode()).hexdigest() for g in guesses}
    assert (await asha.confirm("email", code)).status_code == 200
    (row,) = await world.rows("codes", _id=row["_id"])
    assert "digest" not in row


async def test_a_code_issued_shortly_before_its_day_ends_lives_ten_minutes(world: World) -> None:
    """The row is deleted at `dayEnds`, by the database, whatever is in it."""
    asha = await world.person()
    others = [row["_id"] for row in await world.rows("codes")]
    await asha.request("email")
    world.clock.advance(hours=23, minutes=55)
    await asha.request("email")
    (row,) = await world.rows("codes", _id={"$nin": others})
    assert row["dayEnds"] >= row["expiresAt"]


async def test_a_code_outlives_the_rotation_of_the_secret(open_world: OpenWorld) -> None:
    old, new = "old-secret-7d1f0c2ab3e948561122", "new-secret-99b0c1d9e7a24f683344"
    async with open_world(jwt_secret=old) as world:
        asha = await world.person()
        code = await asha.request("email")
        token, user = asha.token, asha.id
    async with open_world(jwt_secret=new, jwt_secret_previous=old) as world:
        answer = await world.client.post(
            f"{VERIFICATION}/email/confirm",
            json={"code": code},
            headers=bearer(token),
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["_id"] == user


async def test_a_rotation_of_the_secret_resets_no_wait_and_leaves_no_second_code(
    open_world: OpenWorld,
) -> None:
    old, new = "old-secret-7d1f0c2ab3e948561122", "new-secret-99b0c1d9e7a24f683344"
    async with open_world(jwt_secret=old) as world:
        asha = await world.person()
        first = await world.forgotten(asha.email)
    async with open_world(jwt_secret=new, jwt_secret_previous=old) as world:
        await world.forgot(asha.email)
        await world.services.outbox.sweep()
        assert world.messages("email") == [], "the minute is not over"
        world.clock.advance(seconds=61)
        second = await world.forgotten(asha.email)
    # Back to the old secret: the code is known to every process while it is changed.
    async with open_world(jwt_secret=old, jwt_secret_previous=new) as world:
        answer = await world.reset(asha.email, second, "a whole new battery")
        assert answer.status_code == 200, answer.text
        answer = await world.reset(asha.email, first, "another new battery")
        assert_problem(answer, 400, "code", "wrong_code")


async def test_codes_come_from_the_whole_range(world: World) -> None:
    codes = Codes(CodeRepository(world.services.mongo), ["a secret of this test's own"])
    made = {
        (await codes.issue(Purpose.EMAIL, f"nobody-{n}", "nobody@example.com")).code
        for n in range(60)
    }
    assert len(made) > 55
    assert all(len(code) == 6 and code.isdecimal() for code in made)
    assert len({code[0] for code in made}) > 4


@CHANNELS
async def test_a_code_is_taken_as_any_keyboard_writes_it(world: World, channel: str) -> None:
    """Full-width digits, digits of another script, and what people put between them."""
    asha = await world.person()
    code = await asha.request(channel)
    in_hindi = "".join(chr(0x0966 + int(digit)) for digit in code)
    for odd in (f"{code[:5]}\u202e{code[5:]}", f"{code}\u2028", code[:5], f"{code}0", f"x{code}"):
        assert_problem(await asha.confirm(channel, odd), 400, "code")
    assert (await asha.confirm(channel, f" {in_hindi[:3]}-{in_hindi[3:]}\u3000")).status_code == 200
