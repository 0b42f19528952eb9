"""Who may do what: the design's table, cell by cell, over HTTP, and complete by the application's own routes."""

import pytest
from litestar import Litestar

from tests.actors import USERS
from tests.factories import sign_up_body
from tests.house.roles import CALLERS, TABLE, Row, World
from tests.house.routes import routes

pytestmark = pytest.mark.owasp(line="API5")

CELLS = [
    pytest.param(row, caller, int(status), id=f"{row.route} {row.what} as {caller}")
    for row in TABLE
    for caller, status in zip(CALLERS, row.answers.split(), strict=True)
    if status != "-"
]


def test_every_route_stands_in_the_table(application: Litestar) -> None:
    assert {found.name for found in routes(application)} == {row.route for row in TABLE}


@pytest.mark.parametrize(("row", "caller", "status"), CELLS)
def test_each_role_may_do_what_the_table_says(
    world: World, row: Row, caller: str, status: int
) -> None:
    answer = row.ask(world, world.callers[caller])
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("role", ["ADMIN", "LAB_ASSISTANT"])
@pytest.mark.owasp(line="API3")
def test_nobody_appoints_themselves_at_sign_up(world: World, role: str) -> None:
    answer = world.callers["anonymous"].call(
        "POST", f"{USERS}/signup", json=sign_up_body(type=role)
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "type"
