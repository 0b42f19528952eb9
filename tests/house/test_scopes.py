"""What each API key may do: the design's table, scope by scope, over HTTP, and complete by the application's routes."""

from collections.abc import Mapping
from typing import Any

import pytest
from litestar import Litestar

from kernapay.security.authentication import PUBLIC
from kernapay.security.guards import HasScope, IsPerson, IsUnscoped
from kernapay.security.principal import Role, Scope
from kernapay.web.openapi.document import write_document
from tests.actors import Actor, assert_problem
from tests.house.roles import Row, World
from tests.house.routes import routes
from tests.house.scopes import (
    KEYS,
    NEEDS,
    OPTIONAL,
    PEOPLE,
    UNSCOPED,
    WITHOUT_SCOPES,
    KeyHolder,
    ask_with_key,
    expected,
    new_holder,
    protected_rows,
    role_for,
)

pytestmark = pytest.mark.owasp(line="API5")

ROWS = [pytest.param(row, id=f"{row.route} {row.what}".strip()) for row in protected_rows()]


def declared(guards: list[Any]) -> set[str]:
    """Return what the guards of a route demand of an API key; of several, all hold."""
    scopes = {guard.scope.value for guard in guards if isinstance(guard, HasScope)}
    if any(isinstance(guard, IsPerson) for guard in guards):
        return {PEOPLE}
    return scopes | {UNSCOPED for guard in guards if isinstance(guard, IsUnscoped)}


def test_every_route_that_is_not_public_says_what_an_api_key_needs(application: Litestar) -> None:
    found = {
        route.name: declared(route.handler.resolve_guards())
        for route in routes(application)
        if not route.handler.opt.get(PUBLIC)
    }
    assert found == {name: {need} for name, need in NEEDS.items()}


def test_every_scope_on_offer_opens_a_route() -> None:
    assert set(Scope) == {Scope(need) for need in NEEDS.values() if ":" in need}


def test_the_document_names_the_scope_of_each_route(application: Litestar) -> None:
    document = write_document(application)
    for name, need in NEEDS.items():
        method, path = name.split()
        operation = document["paths"][path][method.lower()]
        key: list[Any] = {PEOPLE: [], UNSCOPED: [{"ApiKey": []}]}.get(need, [{"ApiKey": [need]}])
        nobody: list[Any] = [{}] if name == OPTIONAL else []
        assert operation["security"] == [*nobody, {"BearerToken": []}, *key], name
        assert "403" in operation["responses"], name
        assert need in (PEOPLE, UNSCOPED) or f"`{need}`" in operation["description"], name


@pytest.fixture(scope="module")
def holders(world: World) -> Mapping[tuple[str, str], KeyHolder]:
    """A key for each scope, and one without scopes, of an administrator and of a provider."""
    admin, provider = world.callers[Role.ADMIN], world.callers[Role.PROVIDER]
    assert isinstance(admin, Actor)
    assert isinstance(provider, Actor)
    return {
        (role, key): new_holder(admin, owner, role, *([] if key == WITHOUT_SCOPES else [key]))
        for role, owner in ((Role.ADMIN, admin), (Role.PROVIDER, provider))
        for key in KEYS
    }


@pytest.mark.parametrize("row", ROWS)
def test_a_key_may_do_what_its_scope_says_and_no_more(
    world: World, holders: Mapping[tuple[str, str], KeyHolder], row: Row
) -> None:
    for key in KEYS:
        answer = ask_with_key(world, row, holders[role_for(row), key])
        status, code = expected(row, key)
        assert answer.status_code == status, f"{key}: {answer.text}"
        if code is not None:
            detail = assert_problem(answer, 403, code=code)["detail"]
            assert code == "forbidden" or NEEDS[row.route] in detail
