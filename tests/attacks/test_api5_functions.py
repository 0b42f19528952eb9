"""API5, broken function level authorization: no way around the guard of a function for others.

Which role may do what, route by route, is tried in `tests/house/test_roles.py`. Here the door is the same, and the
way to it another: other methods, other spellings of the path, headers that speak for somebody in front of us.
"""

import json
import re
from collections.abc import Iterator, Mapping

import pytest

from kernapay.security.principal import Role
from tests.actors import ADMIN, USERS
from tests.aliases import Store
from tests.attacks.pairs import Pair, fingerprints
from tests.attacks.share import Sweep
from tests.attacks.surface import Operation
from tests.attacks.wire import JSON, Wire
from tests.stack import Api

pytestmark = pytest.mark.owasp(line="API5")

CLOSED = {400, 401, 403, 404, 405, 501}


def spellings(path: str) -> Iterator[str]:
    """Yield spellings that one program reads as this path, and the next as another one."""
    first, rest = path.split("/", 2)[1:]
    encoded = "".join(f"%{ord(letter):02x}" for letter in rest)
    yield from (
        path + end for end in ("/", "//", "/.", "/./", "%2f", "%20", "%09", "?", "?x=/docs")
    )
    yield from (
        path + end for end in ("#", "#/docs", ";", ";/docs", "%3b", "%00", ".json", "/..;/", "\\")
    )
    yield from (
        start + path for start in ("/", "/.", "//kernapay", "/docs/..", "/docs/..;", "/docs//..")
    )
    yield from (
        start + path for start in ("/docs", "/docs/assets", "/docs/assets/..", "/health/live/..")
    )
    yield from (
        start + path for start in ("/docs/..%2f..", "/docs/%2e%2e", "/docs%2f..", "/metrics/..;")
    )
    yield from (start + path for start in (f"{USERS}/login/../../../..", f"{USERS}/signup/..;/..;"))
    yield f"/{first}//{rest}"
    yield f"/{first}/./{rest}"
    yield f"/{first}/x/../{rest}"
    yield f"/{first}/%2e/{rest}"
    yield f"/{first}%2f{rest}"
    yield f"/{first}\\{rest.replace('/', chr(92))}"
    yield f"/{first}/{encoded}"
    yield f"/{first}/{encoded.replace('%', '%25')}"
    yield f"/{first}/{rest.upper()}"
    yield f"/{first}/{rest.title()}"
    yield f"/{first}/{rest.replace('/', '%2f')}"
    yield f"/{first}/{rest.replace('/', ';x=1/')}"
    yield f"http://kernapay{path}"
    yield f"http://kernapay/docs/..{path}"
    yield f"/docs?{path}"


SPEAKING_FOR_OTHERS = [
    *(("X-HTTP-Method-Override", method) for method in ("PUT", "DELETE", "GET")),
    ("X-Method-Override", "DELETE"),
    *((f"X-{name}-URL", f"{ADMIN}/users") for name in ("Original", "Rewrite")),
    ("X-Forwarded-Path", f"{ADMIN}/users"),
    ("X-Forwarded-Prefix", ADMIN),
    *((f"X-{name}", "ADMIN") for name in ("Role", "User-Role", "Type", "Admin", "Roles")),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Forwarded-Host", "localhost"),
    ("X-Custom-IP-Authorization", "127.0.0.1"),
    ("Cookie", "role=ADMIN; admin=1"),
    ("Referer", f"http://kernapay{ADMIN}/users"),
]


@pytest.fixture(scope="module")
def closed(surface: list[Operation]) -> list[Operation]:
    """What a USER may not do."""
    found = [each for each in surface if each.role is not None and Role.USER not in each.admits]
    assert len(found) > 15, "the functions of administrators were not found"
    return found


def test_no_spelling_of_a_path_gets_past_its_guard(
    closed: list[Operation], pairs: Mapping[Role, Pair], api_server: Api, store: Store
) -> None:
    victim = pairs[Role.ADMIN].owned
    before = fingerprints(store)
    sweep = Sweep()
    open_to_admins = 0
    for token in (pairs[Role.USER].attacker.token, None):
        with Wire(api_server.port, token) as wire:
            for operation in closed:
                path = operation.path.format(**victim.ids)
                body = json.dumps(operation.body).encode() if operation.body is not None else b""
                # An id called like what is open to all must not open anything.
                docs = re.sub(r"{\w+}", "docs", operation.path)
                for target in sweep.share((*spellings(path), docs)):
                    answer = wire.ask(operation.method, target, [JSON] if body else [], body)
                    if operation.method == "GET" and target.startswith("/docs?"):
                        assert answer.headers["content-type"].startswith("text/html")
                        continue
                    assert answer.status in CLOSED, f"{operation.method} {target}: {answer}"
                    open_to_admins += answer.status == 403
    assert open_to_admins > 50, "some spellings do lead to the function, and to its guard"
    assert fingerprints(store) == before


def test_no_header_speaks_for_somebody_else(
    closed: list[Operation], pairs: Mapping[Role, Pair], api_server: Api, store: Store
) -> None:
    victim = pairs[Role.ADMIN].owned
    before = fingerprints(store)
    sweep = Sweep()
    with Wire(api_server.port, pairs[Role.USER].attacker.token) as wire:
        for operation in closed:
            path = operation.path.format(**victim.ids)
            body = json.dumps(operation.body).encode() if operation.body is not None else b""
            for header in sweep.share(SPEAKING_FOR_OTHERS):
                for query in ("", "?role=ADMIN&type=ADMIN&admin=true&_method=GET"):
                    headers = [header, JSON] if body else [header]
                    answer = wire.ask(operation.method, path + query, headers, body)
                    assert answer.status == 403, f"{operation.name} {header}: {answer}"
        for header in SPEAKING_FOR_OTHERS:
            plain = wire.ask("GET", "/health/live", [header])
            assert plain.json() == {"status": "ok"}, f"{header} leads elsewhere"
            assert wire.ask("GET", "/", [header]).status == 404
    assert fingerprints(store) == before


def test_no_method_but_those_of_the_document_does_anything(
    surface: list[Operation], pairs: Mapping[Role, Pair], api_server: Api, store: Store
) -> None:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND", "get", "GETX"]
    known: dict[str, set[str]] = {}
    for operation in surface:
        known.setdefault(operation.path, set()).add(operation.method)
    before = fingerprints(store)
    for path, allowed in known.items():
        pair = pairs[Role.ADMIN]
        target = path.format(**pair.owned.ids)
        with Wire(api_server.port, pair.owner.token) as wire:
            for method in methods:
                if method in allowed or (method == "HEAD" and "GET" in allowed):
                    continue
                answer = wire.ask(method, target)
                assert answer.status in CLOSED, f"{method} {path}: {answer}"
                assert b"Bearer" not in answer.body, "TRACE gives back nothing"
    assert fingerprints(store) == before
