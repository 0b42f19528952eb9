import re

import pytest

from kernapay.config.loading import ConfigurationError
from tests.actors import USERS, assert_problem
from tests.environment import settings_from
from tests.factories import payment_body, unique
from tests.verification.conftest import OpenWorld, Person

pytestmark = pytest.mark.anyio
CREATE = "/v1/api/payments/create"


async def refused(person: Person) -> str:
    problem = assert_problem(await person.post(CREATE, payment_body()), 403, code="not_verified")
    return str(problem["detail"])


async def admitted(person: Person) -> None:
    answer = await person.post(CREATE, payment_body(idempotencyKey=unique("key-")))
    assert answer.status_code == 201, answer.text


async def test_nothing_is_demanded_unless_the_operator_says_so(
    open_world: OpenWorld, sandbox_url: str
) -> None:
    async with open_world() as world:
        await admitted(await world.person())


@pytest.mark.parametrize(("demand", "other"), [("email", "mobile"), ("mobile", "email")])
async def test_the_demanded_contact_opens_the_door(
    open_world: OpenWorld, sandbox_url: str, demand: str, other: str
) -> None:
    async with open_world(require_verified=demand) as world:
        asha = await world.person()
        assert f"/v1/api/verification/{demand}/request" in await refused(asha)
        assert (await asha.confirm(other, await asha.request(other))).status_code == 200
        await refused(asha)
        assert (await asha.confirm(demand, await asha.request(demand))).status_code == 200
        await admitted(asha)  # with the same token, on the next request


@pytest.mark.parametrize("contact", ["email", "mobile"])
async def test_any_contact_will_do(open_world: OpenWorld, sandbox_url: str, contact: str) -> None:
    async with open_world(require_verified="any") as world:
        asha = await world.person()
        advice = await refused(asha)
        assert "/email/request" in advice
        assert "/mobile/request" in advice
        assert (await asha.confirm(contact, await asha.request(contact))).status_code == 200
        await admitted(asha)


async def test_both_contacts_are_needed_and_a_new_number_closes_the_door(
    open_world: OpenWorld, sandbox_url: str
) -> None:
    async with open_world(require_verified="both") as world:
        asha = await world.person()
        assert "/email/request, and confirm your mobile" in await refused(asha)
        await asha.confirm("email", await asha.request("email"))
        assert "/email/request" not in await refused(asha)
        await asha.confirm("mobile", await asha.request("mobile"))
        await admitted(asha)
        await asha.call("PUT", f"{USERS}/update", json={"mobileNumber": 9876543211})
        await refused(asha)


async def test_a_role_that_may_not_pay_learns_nothing_new(
    open_world: OpenWorld, sandbox_url: str
) -> None:
    async with open_world(require_verified="email") as world:
        doctor = await world.person(type="PROVIDER")
        answer = await doctor.post(CREATE, payment_body())
        assert_problem(answer, 403, code="forbidden")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"require_verified": "phone"}, "REQUIRE_VERIFIED"),
        ({"email_api_key": "SG.x"}, "SENDER_EMAIL: must be set because EMAIL_API_KEY is"),
        ({"email_api_key": "SG.x", "sender_email": "nobody"}, "SENDER_EMAIL: must be an e-mail"),
        ({"sendgrid_url": "api.sendgrid.com"}, "SENDGRID_URL: must be a URL"),
        ({"fast_2_sms_url": "ftp://x"}, "FAST_2_SMS_URL: must be a URL"),
        ({"sender_name": "Shop\r\nBcc: x"}, "SENDER_NAME"),
        (
            {"app_env": "production", "mailbox_url": "http://127.0.0.1:3100"},
            "unset MAILBOX_URL.",
        ),
        (
            {"app_env": "production", "sendgrid_url": "http://mail.example.com"},
            "set SENDGRID_URL to an https:// URL.",
        ),
    ],
)
def test_bad_settings_are_named(
    api_env: dict[str, str], variables: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        settings_from(api_env, **variables)


def test_empty_variables_are_unset_ones(api_env: dict[str, str]) -> None:
    names = ("email_api_key", "sender_email", "fast_2_sms_key", "fast_2_sms_url", "mailbox_url")
    settings = settings_from(api_env, **dict.fromkeys(names, ""))
    assert settings.email_api_key is None
    assert settings.fast_2_sms_key is None
    assert settings.mailbox_url is None
    assert settings.fast_2_sms_url == "https://www.fast2sms.com/dev/bulkV2"
