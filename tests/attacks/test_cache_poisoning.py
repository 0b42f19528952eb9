"""Cache poisoning and deception: what was cached for one person is never given to another (API8 and API1).

Nobody on the way may keep an answer either: each says so.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from redis import Redis

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, USERS, Actor
from tests.attacks.hostile import SEGMENTS
from tests.attacks.pairs import Pair
from tests.attacks.surface import Operation
from tests.attacks.wire import Headers, Wire
from tests.stack import Api, bearer

pytestmark = [pytest.mark.owasp(line="API8"), pytest.mark.owasp(line="API1")]

KEYS = re.compile(
    r"(user|session|payment_history|api_key):[0-9a-f]{24,64}|webhook_event:[A-Za-z0-9_.-]+|(LIMITS:)?rate.*"
)
"""All that may ever stand in Redis."""


def private(actor: Actor) -> list[str]:
    """Return the paths whose answers are this person's alone."""
    return [f"{USERS}/profile", f"{USERS}/sessions", f"{PAYMENTS}/history/{actor.id}"]


def token_of(actor: Actor, name: str = "Authorization") -> Headers:
    return [(name, f"Bearer {actor.token}")]


def test_two_people_on_one_connection_never_get_each_others_answers(
    pairs: Mapping[Role, Pair], api_server: Api, second_api: Api
) -> None:
    """Interleaved at speed, over two processes, while both go on changing what is cached."""
    people = [pairs[role].owner for role in (Role.USER, Role.ADMIN)]

    def hammer(worker: int) -> int:
        port = (api_server, second_api)[worker % 2].port
        seen = 0
        with Wire(port) as wire:
            for turn in range(30):
                for actor in people[:: 1 if turn % 2 else -1]:
                    if turn % 10 == worker:
                        body = {"name": f"{actor.id} {worker} {turn}"}
                        wire.post("PUT", f"{USERS}/update", body, token_of(actor))
                    for path in private(actor):
                        answer = wire.ask("GET", path, token_of(actor))
                        assert answer.status == 200, answer
                        others = [each for each in people if each is not actor]
                        for word in (word for other in others for word in (other.id, other.email)):
                            assert word not in answer.text, f"{path} of {actor.id}"
                        seen += actor.id in answer.text
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(hammer, range(4)))
    assert min(seen) >= 30, "each read their own profile and history"


def test_hints_at_somebody_else_change_no_answer(
    pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    victim = pairs[Role.USER].owner
    headers: list[tuple[str, str]] = [
        *(
            (f"X-{name}", victim.id)
            for name in ("User-Id", "User", "Forwarded-User", "Remote-User")
        ),
        ("X-Forwarded-Email", victim.email),
        *((f"X-{name}-URL", f"{PAYMENTS}/history/{victim.id}") for name in ("Original", "Rewrite")),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/v1/api/admin"),
        ("X-HTTP-Method-Override", "PUT"),
        ("Cookie", f"token={victim.token}; session={victim.id}"),
        ("X-Authorization", f"Bearer {victim.token}"),
        ("Proxy-Authorization", f"Bearer {victim.token}"),
        ("Range", "bytes=0-3"),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"),
    ]
    queries = [
        f"user_id={victim.id}",
        f"userId={victim.id}",
        f"_={victim.id}",
        f"token={victim.token}",
        f"access_token={victim.token}",
        "callback=evil",
        "utm_content=x",
        "_method=PUT",
        "%00",
        "&&==",
    ]
    for role, pair in pairs.items():
        caller = pair.attacker
        with Wire(api_server.port) as wire:
            for path in private(caller):
                # The victim first: theirs is what lies in the cache.
                wire.ask("GET", path.replace(caller.id, victim.id), token_of(victim))
                plain = wire.ask("GET", path, token_of(caller))
                assert plain.status == 200, plain
                answers = [wire.ask("GET", path, [*token_of(caller), header]) for header in headers]
                answers += [
                    wire.ask("GET", f"{path}?{query}", token_of(caller)) for query in queries
                ]
                answers += [
                    wire.ask("GET", path, token_of(caller, name))
                    for name in ("authorization", "AUTHORIZATION", "aUtHoRiZaTiOn")
                ]
                for answer in answers:
                    assert (answer.status, answer.body) == (200, plain.body), f"{path} as {role}"


def test_a_path_that_looks_like_a_file_is_no_private_page(
    pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    """Web cache deception: a cache would keep `profile/x.css`, for everybody."""
    owner = pairs[Role.USER].owner
    with Wire(api_server.port, owner.token) as wire:
        for path in private(owner):
            for disguise in (
                "/x.css",
                ".css",
                ";x.css",
                "%2fx.js",
                "%3bx.js",
                "%00.css",
                "/%2e.png",
            ):
                answer = wire.ask("GET", path + disguise)
                assert answer.status in (400, 403, 404, 405), path + disguise
                assert owner.email not in answer.text


def test_head_leaves_nothing_behind_for_the_next_get(
    pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    first, second = (pairs[role].owner for role in (Role.USER, Role.ADMIN))
    with Wire(api_server.port) as wire:
        for before, after in pairwise((first, second, first)):
            for path, next_path in zip(private(before), private(after), strict=True):
                head = wire.ask("HEAD", path, token_of(before))
                assert head.status == 200
                assert head.body == b""
                answer = wire.ask("GET", next_path, token_of(after))
                assert answer.status == 200
                assert before.email not in answer.text


def test_no_request_makes_a_key_of_its_own_choice(
    pairs: Mapping[Role, Pair], api_server: Api, redis_client: Redis
) -> None:
    """Ids that hold `:`, `*` or braces would be other entries, or all of them."""
    pair = pairs[Role.USER]
    owner = pair.owner.id
    keys = [
        f"{owner}:0:10",
        f"{{{owner}}}",
        "*",
        f"user:{owner}",
        f"{owner}%0auser:{owner}",
        f"{owner} lease:value",
        *SEGMENTS,
    ]
    with Wire(api_server.port, pair.attacker.token) as wire:
        for key in keys:
            target = key.replace(" ", "%20")
            for answer in (
                wire.ask("GET", f"{PAYMENTS}/history/{target}"),
                wire.ask("GET", f"{PAYMENTS}/history/{pair.attacker.id}?skip={target}&count=10"),
                wire.ask("DELETE", f"{USERS}/sessions/{target}"),
                wire.ask("GET", f"{USERS}/profile", [("Authorization", f"Bearer kp_test_{key}")]),
                wire.post("POST", f"{USERS}/refresh", {"refreshToken": f"{key}.{key}"}),
            ):
                assert answer.status in (200, 400, 401, 403, 404, 405), key
                assert owner not in answer.text
    names = [str(key) for key in redis_client.scan_iter()]
    # Others' entries may expire meanwhile.
    assert f"user:{pair.attacker.id}" in names, "something was cached at all"
    assert [name for name in names if not KEYS.fullmatch(name)] == []


def test_a_refused_request_caches_nothing_for_the_victim(
    pairs: Mapping[Role, Pair], api_server: Api, redis_client: Redis
) -> None:
    pair = pairs[Role.USER]
    path = f"{PAYMENTS}/history/{pair.owner.id}"
    redis_client.delete(f"payment_history:{pair.owner.id}")
    with Wire(api_server.port, pair.attacker.token) as wire:
        assert wire.ask("GET", path).status == 403
    assert not redis_client.exists(f"payment_history:{pair.owner.id}")
    (line,) = pair.owner.history().json()
    assert line["referenceId"] == pair.owned.reference_id


def test_no_answer_may_be_kept_on_the_way(
    surface: list[Operation], pairs: Mapping[Role, Pair], api_server: Api
) -> None:
    """Of any route, good or refused, with and without a token: `no-store`, said once."""
    stated = set()
    for operation in surface:
        pair = pairs[operation.role or Role.USER]
        path = operation.path.format(**pair.owned.ids)
        method = operation.method if operation.method == "GET" else "OPTIONS"
        for headers in ({}, bearer(pair.owner.token)):
            answer = api_server.client.request(method, path, headers=headers)
            assert answer.headers.get_list("cache-control") == ["no-store"], operation.name
            stated.add(answer.status_code)
            if "content-encoding" in answer.headers:
                assert "accept-encoding" in answer.headers["vary"].lower(), operation.name
            assert "etag" not in answer.headers or "files" in path
    assert {200, 204, 400, 401} <= stated
