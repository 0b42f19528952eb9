"""A development stack answers its developer only: neither rebound names nor pages of other sites."""

import httpx
import pytest

from tests.actors import PAYMENTS, USERS, Actor, assert_problem
from tests.in_process import InProcess, InProcessClient
from tests.stack import bearer

pytestmark = pytest.mark.anyio

OURS = ("localhost", "localhost:3000", "127.0.0.1:3000", "[::1]:3000", "[::1]", "LOCALHOST:1")
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example"),
    *("localhost.", "127.0.0.2", "0.0.0.0:3000", "[::2]:3000", "::1", "user@localhost"),
    *("localhost:3000:1", "localhost:evil", "evil.example#localhost", "localhost,evil.example", ""),
)
PAGES = (
    *("http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]:8080", "https://localhost"),
    *("http://localhost", "http://localhost:65535"),
)
FOREIGN_PAGES = (
    *("https://evil.example", "http://localhost.evil.example:5173", "http://evil.example:3000"),
    *("null", "http://localhost@evil.example", "http://localhost:5173.evil.example", "file://"),
    *("http://127.0.0.1.evil.example", "http://10.0.0.1:3000", "http://xlocalhost:5173"),
    *(
        "http://[::1",
        "localhost:3000",
        "ftp://localhost:3000",
        "http://localhost:3000@evil.example",
    ),
    *("http://localhost:5173/", "http://localhost:5173\thttp://evil.example", ""),
)


def ask(host: str, origin: str | None = None) -> dict[str, str]:
    return {"Host": host, **({} if origin is None else {"Origin": origin})}


async def everything(client: InProcessClient, headers: dict[str, str]) -> list[httpx.Response]:
    preflight = {"Access-Control-Request-Method": "POST", **headers}
    return [
        await client.get("/health/live", headers=headers),
        await client.get("/docs/openapi.json", headers=headers),
        await client.get("/nothing", headers=headers),
        await client.post(f"{USERS}/login", json={}, headers=headers),
        await client.options(f"{PAYMENTS}/create", headers=preflight),
    ]


@pytest.mark.owasp(line="API8")
async def test_a_stack_answers_only_to_the_names_of_this_machine(in_process: InProcess) -> None:
    async with in_process(dev_stack=True, allowed_hosts="dev.internal,[fd00::1]") as client:
        for host in (*OURS, "dev.internal:3000", "Dev.Internal", "[fd00::1]:80"):
            assert (await client.get("/health/live", headers=ask(host))).status_code == 200, host
        for host in filter(str.strip, FOREIGN_HOSTS):
            for answer in await everything(client, ask(host)):
                problem = assert_problem(answer, 403, field="Host", code="host_not_allowed")
                assert "ALLOWED_HOSTS" in problem["detail"]
        twice = httpx.Headers([("Host", "localhost"), ("Host", "evil.example")])
        answer = await client.get("/health/live", headers=twice)
        assert_problem(answer, 400, field="Host")
        assert_problem(await client.get("/health/live", headers=ask("")), 400, field="Host")


@pytest.mark.owasp(line="API8")
async def test_pages_of_this_machine_may_call_a_stack_without_a_setting(
    in_process: InProcess, user: Actor
) -> None:
    async with in_process(dev_stack=True, cors_origins="https://shop.example") as client:
        for origin in (*PAGES, "https://shop.example"):
            for answer in await everything(client, ask("localhost:3000", origin)):
                assert answer.status_code != 403, origin
                assert answer.headers["access-control-allow-origin"] == origin
            headers = {**ask("127.0.0.1:3000", origin), **bearer(user.token)}
            assert (await client.get(f"{USERS}/profile", headers=headers)).status_code == 200
        for origin in FOREIGN_PAGES:
            for answer in await everything(client, ask("localhost:3000", origin)):
                assert_problem(answer, 403, field="Origin", code="origin_not_allowed")
                assert "access-control-allow-origin" not in answer.headers
    async with in_process(dev_stack=True, allowed_hosts="dev.internal") as client:
        # Its own pages, such as Swagger UI, under a further name.
        own = ask("dev.internal:3000", "http://dev.internal:3000")
        assert (await client.get("/health/live", headers=own)).status_code == 200


@pytest.mark.owasp(line="API8")
async def test_outside_a_stack_pages_of_localhost_are_foreign_and_any_host_is_ours(
    in_process: InProcess,
) -> None:
    async with in_process() as client:
        for origin in PAGES:
            for answer in await everything(client, ask("pay.example", origin)):
                assert answer.status_code != 403
                assert "access-control-allow-origin" not in answer.headers


async def test_outside_a_stack_the_hosts_can_be_limited_too(in_process: InProcess) -> None:
    async with in_process(allowed_hosts="pay.example") as client:
        answer = await client.get("/health/live", headers=ask("pay.example", "https://any.example"))
        assert answer.status_code == 200
        for host in ("localhost", "evil.example"):
            answer = await client.get("/health/live", headers=ask(host))
            assert_problem(answer, 403, field="Host", code="host_not_allowed")
