"""Rate limits: by account and by address, over all processes, and without Redis."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from redis import Redis

from tests.actors import PAYMENTS, USERS, Actor, People, assert_problem
from tests.aliases import Store
from tests.clusters.nodes import RedisNode
from tests.factories import PASSWORD, new_email, payment_body, sign_up_body
from tests.in_process import InProcess
from tests.sessions.conftest import sign_up
from tests.stack import Api, SandboxServer
from tests.waiting import eventually

pytestmark = pytest.mark.owasp(line="API4")

Address = Callable[[], dict[str, str]]
WRONG = "not the password"
REFERENCE = "PAY_66b1f0c2a7d4e5f601234567_1769854530250_u1Zq8oYc3nXwT5vRk2LmPA"


# Each client of a test has an address of its own: the tests do not disturb each other.
LIMITS = {
    "RATE_LIMITS": "on",
    "TRUSTED_PROXIES": "127.0.0.1",
    "RATE_LIMIT_STATUS": "20/hour",
    "RATE_LIMIT_VERIFY": "2/second",
    "RATE_LIMIT_SIGNUP": "2/hour",
    "RATE_LIMIT_REFRESH": "2/hour",
    "RATE_LIMIT_CODES": "2/hour",
    "RATE_LIMIT_CREATE": "3/hour",
    "RATE_LIMIT_LOGIN": "50/hour",
}


@pytest.fixture(scope="module")
def apis(
    api_env: dict[str, str],
    store: Store,
    sandbox_server: SandboxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Api]]:
    """Two processes with limits, over the same Redis."""
    first, second = (Api(tmp_path_factory.mktemp("api"), {**api_env, **LIMITS}) for _ in range(2))
    with first, second:
        sandbox_server.wait()
        yield [first, second]


@pytest.fixture
def limited(apis: list[Api]) -> Api:
    return apis[0]


def log_in(api: Api, email: str, password: str, headers: dict[str, str]) -> httpx.Response:
    body = {"email": email, "password": password}
    return api.client.post(f"{USERS}/login", json=body, headers=headers)


def test_processes_count_together_and_answers_say_how_it_stands(
    apis: list[Api], address: Address
) -> None:
    """A fixed number gets through, however many processes and requests at once there are."""
    client = address()

    def ask(number: int) -> httpx.Response:
        return apis[number % 2].client.get(f"{PAYMENTS}/status/{REFERENCE}", headers=client)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(60)))
    assert Counter(answer.status_code for answer in answers) == {404: 20, 429: 40}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_problem(refused, 429, code="too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit-limit"] == "20"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert 0 <= int(refused.headers["ratelimit-reset"]) <= 3600
    left = sorted(int(a.headers["ratelimit-remaining"]) for a in answers if a.status_code == 404)
    assert left == list(range(20))
    elsewhere = apis[0].client.get(f"{PAYMENTS}/status/{REFERENCE}", headers=address())
    assert elsewhere.status_code == 404, "another address has its own count"


def test_a_limit_admits_again_when_its_window_has_passed(limited: Api, address: Address) -> None:
    client = address()

    def ask() -> httpx.Response:
        return limited.client.post(f"{PAYMENTS}/verify", json={}, headers=client)

    def refusal() -> httpx.Response | None:
        answer = ask()
        return answer if answer.status_code == 429 else None

    refused = eventually(refusal)
    assert int(refused.headers["retry-after"]) in (1, 2)
    assert eventually(lambda: ask().status_code == 400)


def test_every_limited_route_has_its_own_count(limited: Api, address: Address) -> None:
    client = address()
    bodies = {
        "signup": (f"{USERS}/signup", sign_up_body()),
        "refresh": (f"{USERS}/refresh", {"refreshToken": "nobody.nothing"}),
        "codes": (f"{USERS}/password/reset", {}),
    }
    for name, (path, body) in bodies.items():
        answers = [limited.client.post(path, json=body, headers=client) for _ in range(3)]
        statuses = [answer.status_code for answer in answers]
        assert 429 not in statuses[:2], (name, statuses)
        assert statuses[2] == 429, (name, statuses)
    wrong = [log_in(limited, new_email(), WRONG, client).status_code for _ in range(51)]
    assert wrong == [401] * 50 + [429]


def test_accounts_are_limited_by_who_they_are_not_where(
    limited: Api, address: Address, people: People
) -> None:
    first, second = (people.new().at(limited.client) for _ in range(2))

    def create(actor: Actor) -> int:
        body = payment_body()
        return actor.call("POST", f"{PAYMENTS}/create", json=body, headers=address()).status_code

    assert [create(first) for _ in range(5)] == [201, 201, 201, 429, 429]
    assert create(second) == 201


def test_hot_reads_carry_no_limit(limited: Api, user: Actor) -> None:
    reader = user.at(limited.client)
    for answer in (reader.profile(), reader.history()):
        assert answer.status_code == 200
        assert "ratelimit-limit" not in answer.headers


@pytest.mark.anyio
@pytest.mark.owasp(line="API2")
async def test_who_guesses_passwords_waits_longer_and_longer(in_process: InProcess) -> None:
    async with in_process(rate_limits="on", rate_limit_wrong_password="2/second;4/hour") as client:
        email = (await sign_up(client))["email"]

        async def guess(password: str = WRONG) -> httpx.Response:
            return await client.post(f"{USERS}/login", json={"email": email, "password": password})

        answers: list[httpx.Response] = []
        async with asyncio.timeout(30):
            while not answers or _wait(answers[-1]) <= 2:
                answers += await asyncio.gather(*(guess() for _ in range(3)))
                await asyncio.sleep(0.05)  # a second has to pass before the longer window counts
        waits = [_wait(answer) for answer in answers if answer.status_code == 429]
        assert waits[0] in (1, 2)
        assert waits[-1] > 60
        assert [answer.status_code for answer in answers].count(401) == 4
        assert_problem(await guess(PASSWORD), 429, code="too_many_requests")


def _wait(answer: httpx.Response) -> int:
    return int(answer.headers.get("retry-after", "0"))


def test_a_stranger_cannot_lock_the_owner_out(limited: Api, address: Address, user: Actor) -> None:
    api, stranger, owner = limited, address(), address()
    statuses = [log_in(api, user.email, WRONG, stranger).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert log_in(api, user.email, PASSWORD, owner).status_code == 200
    refused = log_in(api, user.email, PASSWORD, stranger)
    assert refused.status_code == 429, "the stranger's next guess is not even looked at"


def test_the_wait_does_not_tell_whether_an_address_is_known(
    limited: Api, address: Address, user: Actor
) -> None:
    api = limited
    for email in (user.email, new_email(), user.email.upper()):
        client = address()
        statuses = [log_in(api, email, WRONG, client).status_code for _ in range(11)]
        assert statuses == [401] * 10 + [429]


@pytest.mark.owasp(line="API2")
def test_spelling_the_address_differently_gives_no_further_guesses(
    limited: Api, address: Address, user: Actor
) -> None:
    api, client = limited, address()
    spellings = [user.email, user.email.upper(), f" {user.email} ", user.email.title()]
    for number in range(10):
        assert log_in(api, spellings[number % 4], WRONG, client).status_code == 401
    assert [log_in(api, email, WRONG, client).status_code for email in spellings] == [429] * 4


@pytest.mark.owasp(line="API2")
def test_a_burst_of_guesses_is_not_let_in_before_the_first_is_found_wrong(
    limited: Api, address: Address, user: Actor
) -> None:
    api, client = limited, address()
    with ThreadPoolExecutor(30) as pool:
        attempts = pool.map(lambda _: log_in(api, user.email, WRONG, client), range(30))
        assert Counter(a.status_code for a in attempts) == {401: 10, 429: 20}


def test_many_right_passwords_at_once_are_no_attack(
    limited: Api, address: Address, user: Actor
) -> None:
    api, client = limited, address()
    with ThreadPoolExecutor(30) as pool:
        attempts = pool.map(lambda _: log_in(api, user.email, PASSWORD, client), range(30))
        assert {a.status_code for a in attempts} == {200}


@pytest.mark.owasp(line="API2")
def test_a_stolen_token_does_not_help_to_guess_the_password(
    limited: Api, address: Address, user: Actor
) -> None:
    thief, client = user.at(limited.client), address()
    body = {"currentPassword": WRONG, "password": PASSWORD, "confirmPassword": PASSWORD}
    statuses = [
        thief.call("PUT", f"{USERS}/password", json=body, headers=client).status_code
        for _ in range(11)
    ]
    assert statuses == [400] * 10 + [429]


@pytest.mark.anyio
async def test_nobody_chooses_their_own_address(in_process: InProcess, address: Address) -> None:
    """Without TRUSTED_PROXIES the header is hearsay."""
    body = {"refreshToken": "nobody.nothing"}
    async with in_process(rate_limits="on", rate_limit_refresh="3/day") as client:
        answers = [
            await client.post(f"{USERS}/refresh", json=body, headers=address()) for _ in range(4)
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


def test_counters_name_nobody(
    limited: Api, address: Address, user: Actor, redis_client: Redis
) -> None:
    client = address()
    assert log_in(limited, user.email, WRONG, client).status_code == 401
    keys = list(redis_client.scan_iter("rate:*"))
    assert any("{wrong_password/" in key for key in keys)
    for word in (user.email, user.email.partition("@")[0], client["X-Forwarded-For"], user.id):
        assert not [key for key in keys if word in key]
    for key in keys:
        assert key.count("{") == 1, "one hash tag: both windows live on one node of a cluster"
        # Redis: -1 without an end, -2 for a key that has ended since, as counters of a second do.
        rest = redis_client.pttl(key)
        assert rest == -2 or 0 <= rest <= 2 * 86_400_000


@pytest.mark.anyio
async def test_limits_can_be_switched_off_one_by_one_or_all(in_process: InProcess) -> None:
    body = {"refreshToken": "nobody.nothing"}
    async with in_process(rate_limits="on", rate_limit_refresh="off") as client:
        answer = await client.post(f"{USERS}/refresh", json=body)
        assert "ratelimit-limit" not in answer.headers
    async with in_process(rate_limits="off", rate_limit_login="1/day") as client:
        wrong = {"email": new_email(), "password": WRONG}
        for _ in range(12):
            answer = await client.post(f"{USERS}/login", json=wrong)
            assert answer.status_code == 401
            assert "ratelimit-limit" not in answer.headers


@pytest.mark.anyio
async def test_without_redis_each_process_counts_alone(
    in_process: InProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = RedisNode(tmp_path_factory.mktemp("redis"))
    await asyncio.to_thread(server.start)
    try:
        async with in_process(
            redis_url=server.url, rate_limits="on", rate_limit_status="5/hour"
        ) as client:

            async def ask() -> int:
                answer = await client.get(f"{PAYMENTS}/status/{REFERENCE}")
                return answer.status_code

            assert await ask() == 404
            await asyncio.to_thread(server.kill)
            assert [await ask() for _ in range(7)] == [404] * 5 + [429] * 2
    finally:
        await asyncio.to_thread(server.kill)
