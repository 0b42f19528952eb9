"""The console's session: a cookie that counts for our own page alone, and ends when its row does."""

import httpx
import pytest
from bson import ObjectId

from kernapay.security.console import CONSOLE_COOKIE
from tests.actors import CONSOLE_SESSION, PAYMENTS, USERS, Actor, People, assert_problem
from tests.aliases import Store
from tests.clocks import FrozenClock
from tests.console.desk import OUR_PAGE, cookie_of, sent_with
from tests.factories import PASSWORD, unique
from tests.in_process import InProcess
from tests.stack import Sandbox, bearer

pytestmark = pytest.mark.owasp(line="API2")
PROFILE = f"{USERS}/profile"


def sign_in(actor: Actor, **headers: str) -> httpx.Response:
    credentials = {"email": actor.email, "password": actor.password}
    return actor.client.post(CONSOLE_SESSION, json=credentials, headers={**OUR_PAGE, **headers})


@pytest.fixture
def cookie(admin: Actor) -> str:
    answer = sign_in(admin)
    assert answer.status_code == 200, answer.text
    return cookie_of(answer)


def test_an_administrator_signs_in_and_no_token_is_in_the_answer(
    admin: Actor, api: httpx.Client
) -> None:
    answer = sign_in(admin, **{"User-Agent": "Console/1.0"})
    cookie = cookie_of(answer)
    session = answer.json()
    assert session["user"] == {
        "_id": admin.id,
        "email": admin.email,
        "name": "Asha Rao",
        "type": "ADMIN",
    }
    assert (session["zone"], session["livemode"], session["hasSecondFactor"]) == (
        "Asia/Kolkata",
        False,
        False,
    )
    assert session["currencyExponents"]["JPY"] == 0
    assert "eyJ" not in answer.text
    assert "refresh" not in answer.text.lower()
    assert api.get(CONSOLE_SESSION, **sent_with(cookie)).json() == session
    # It is a device like any other.
    devices = admin.call("GET", f"{USERS}/sessions").json()
    assert "Console/1.0" in [each["userAgent"] for each in devices]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OUR_PAGE, 200),
        ({"X-KernaPay-Console": "1", "Origin": "http://{host}"}, 200),
        ({"X-KernaPay-Console": "1", "Origin": "https://{host}"}, 200),  # behind a proxy
        ({"Sec-Fetch-Site": "same-origin"}, 401),
        ({"Sec-Fetch-Site": "same-origin", "X-KernaPay-Console": "0"}, 401),
        ({"X-KernaPay-Console": "1"}, 401),
        ({"X-KernaPay-Console": "1", "Sec-Fetch-Site": "same-site"}, 401),
        ({"X-KernaPay-Console": "1", "Sec-Fetch-Site": "cross-site"}, 401),
        ({"X-KernaPay-Console": "1", "Sec-Fetch-Site": "none"}, 401),
        # What the browser says of the page counts more than an origin.
        (
            {
                "X-KernaPay-Console": "1",
                "Sec-Fetch-Site": "cross-site",
                "Origin": "http://{host}",
            },
            401,
        ),
        ({"X-KernaPay-Console": "1", "Origin": "https://elsewhere.example"}, 401),
        ({"X-KernaPay-Console": "1", "Origin": "http://{host}.elsewhere.example"}, 401),
        ({"X-KernaPay-Console": "1", "Origin": "null"}, 401),
        ({"X-KernaPay-Console": "1", "Origin": "ftp://{host}"}, 401),
    ],
)
def test_the_cookie_counts_for_our_own_page_alone(
    api: httpx.Client, cookie: str, headers: dict[str, str], status: int
) -> None:
    host = api.base_url.netloc.decode()
    sent = {name: value.replace("{host}", host) for name, value in headers.items()}
    assert api.get(PROFILE, **sent_with(cookie, sent)).status_code == status
    change = api.put(f"{USERS}/update", json={"name": "Asha R."}, **sent_with(cookie, sent))
    assert change.status_code == status


def test_beside_an_authorization_the_cookie_is_not_looked_at(
    api: httpx.Client, cookie: str, user: Actor
) -> None:
    both = sent_with(cookie, {**OUR_PAGE, **bearer(user.token)})
    assert api.get(PROFILE, **both).json()["_id"] == user.id
    assert_problem(api.get(PROFILE, **sent_with(cookie, {**OUR_PAGE, **bearer("no")})), 401)


def test_a_token_counts_in_its_own_place_alone(
    api: httpx.Client, cookie: str, admin: Actor
) -> None:
    """Or the token of a sign-in without a second factor would open the console."""
    assert_problem(api.get(PROFILE, headers=bearer(cookie)), 401)
    assert_problem(api.get(PROFILE, **sent_with(admin.token)), 401)
    assert_problem(api.get(PROFILE, **sent_with("kp_test_" + "a" * 40)), 401)
    assert_problem(api.get(PROFILE, **sent_with("")), 401)


@pytest.mark.owasp(line="API5")
def test_the_roles_of_the_console_sign_in_and_no_others(people: People, store: Store) -> None:
    for actor in (people.new("USER"), people.new("PROVIDER")):
        answer = sign_in(actor)
        assert_problem(answer, 403)
        assert "set-cookie" not in answer.headers
    assistant, provider = people.new("LAB_ASSISTANT"), people.new("PROVIDER", approved=True)
    assert sign_in(assistant).json()["user"]["type"] == "LAB_ASSISTANT"
    cookie = cookie_of(sign_in(provider))
    api, admin = provider.client, people.new("ADMIN")
    assert api.get(PROFILE, **sent_with(cookie)).status_code == 200
    revoked = admin.call("POST", f"/v1/api/admin/users/{provider.id}/revoke-approval")
    assert revoked.status_code == 200, revoked.text
    assert_problem(api.get(PROFILE, **sent_with(cookie)), 401)
    # Their other device stays signed in.
    assert provider.profile().status_code == 200
    # Anybody may write any address into a sign-up as LAB_ASSISTANT.
    store.users.update_one({"_id": ObjectId(assistant.id)}, {"$set": {"isEmailVerified": False}})
    assert_problem(sign_in(assistant), 403)


def test_no_other_page_signs_anybody_in(admin: Actor) -> None:
    for site in ("cross-site", "same-site"):
        answer = sign_in(admin, **{"Sec-Fetch-Site": site})
        assert_problem(answer, 403)
        assert "set-cookie" not in answer.headers


def test_the_cookie_opens_no_stream(
    api: httpx.Client, cookie: str, user: Actor, sandbox: Sandbox
) -> None:
    """A stream looks again and again whether its token still counts; it does not know the cookie's."""
    payment, _ = user.buy(sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/events"
    since = {"Last-Event-ID": "0"}
    as_nobody = api.get(path, headers=since).text
    assert api.get(path, headers={**since, **bearer(user.token)}).text != as_nobody
    assert api.get(path, **sent_with(cookie, {**OUR_PAGE, **since})).text == as_nobody


def test_a_session_that_is_ended_elsewhere_is_over_at_once(
    api: httpx.Client, cookie: str, admin: Actor
) -> None:
    other = cookie_of(sign_in(admin))
    assert api.get(PROFILE, **sent_with(cookie)).status_code == 200
    gone = api.delete(CONSOLE_SESSION, **sent_with(cookie))
    assert gone.status_code == 200
    (line,) = gone.headers.get_list("set-cookie")
    assert line.startswith(f"{CONSOLE_COOKIE}=;") or f'{CONSOLE_COOKIE}="";' in line
    assert "Max-Age=0" in line
    assert_problem(api.get(PROFILE, **sent_with(cookie)), 401)
    assert admin.call("DELETE", f"{USERS}/sessions").status_code == 200
    assert_problem(api.get(PROFILE, **sent_with(other)), 401)


@pytest.mark.anyio
async def test_a_session_ends_when_it_is_not_used_and_after_half_a_day_in_any_case(
    in_process: InProcess, admin: Actor
) -> None:
    clock = FrozenClock()
    credentials = {"email": admin.email, "password": admin.password}
    async with in_process(clock=clock) as client:

        async def use(cookie: str, path: str = PROFILE) -> httpx.Response:
            answer = await client.get(path, **sent_with(cookie))
            await client.services.background.drain()
            return answer

        kept, left = [
            cookie_of(await client.post(CONSOLE_SESSION, json=credentials)) for _ in range(2)
        ]
        for _ in range(28):
            clock.advance(minutes=25)
            assert (await use(kept)).status_code == 200
        before = len((await use(kept, f"{USERS}/sessions")).json())
        assert_problem(await use(left), 401)
        # What nobody used is no device any more.
        assert len((await use(kept, f"{USERS}/sessions")).json()) == before - 1
        clock.advance(minutes=19)
        assert (await use(kept)).status_code == 200
        clock.advance(minutes=2)
        assert_problem(await use(kept), 401)


@pytest.mark.anyio
async def test_a_page_that_looks_by_itself_does_not_keep_its_session_alive(
    in_process: InProcess, admin: Actor
) -> None:
    """Two tabs that look now and then would otherwise keep each other signed in all night."""
    clock = FrozenClock()
    credentials = {"email": admin.email, "password": admin.password}
    async with in_process(clock=clock) as client:
        cookie = cookie_of(await client.post(CONSOLE_SESSION, json=credentials))

        async def call(minutes: int, **headers: str) -> httpx.Response:
            clock.advance(minutes=minutes)
            sent = sent_with(cookie, {**OUR_PAGE, **headers})
            answer = await client.get(CONSOLE_SESSION, **sent)
            await client.services.background.drain()
            return answer

        background = {"X-KernaPay-Background": "1"}
        for _ in range(2):
            assert [(await call(7, **background)).status_code for _ in range(4)] == [200] * 4
            # Somebody is there.
            assert (await call(1)).status_code == 200
        assert [(await call(7, **background)).status_code for _ in range(4)] == [200] * 4
        assert_problem(await call(2, **background), 401, code="unauthenticated")


@pytest.mark.anyio
async def test_wrong_passwords_count_together_with_those_at_the_api(
    in_process: InProcess, admin: Actor
) -> None:
    wrong = {"email": admin.email, "password": unique("wrong ")}
    right = {"email": admin.email, "password": PASSWORD}
    async with in_process(rate_limits="on", rate_limit_wrong_password="2/hour") as client:
        assert (await client.post(f"{USERS}/login", json=wrong)).status_code == 401
        assert (await client.post(CONSOLE_SESSION, json=wrong)).status_code == 401
        assert (await client.post(CONSOLE_SESSION, json=right)).status_code == 429
        assert (await client.post(f"{USERS}/login", json=right)).status_code == 429


@pytest.mark.anyio
async def test_no_preflight_allows_another_page_the_header_of_the_console(
    in_process: InProcess,
) -> None:
    shop = "https://shop.example.com"
    asked = {"Access-Control-Request-Method": "GET", "Origin": shop}
    async with in_process(cors_origins=shop) as client:
        for name, status in (("authorization", 204), ("x-kernapay-console", 400)):
            answer = await client.options(
                PROFILE, headers={**asked, "Access-Control-Request-Headers": name}
            )
            assert answer.status_code == status, name
            assert "access-control-allow-credentials" not in answer.headers
