"""API1, broken object level authorization: every route that names an object, tried by a second person of each role.

Where the design hides an object, the answer to who may not have it is that for one that does not exist.
"""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from kernapay.security.principal import Role
from tests.actors import PAYMENTS, USERS
from tests.aliases import Store
from tests.attacks.objects import TABLE, Row
from tests.attacks.pairs import Pair, rows_of
from tests.attacks.surface import Operation

pytestmark = pytest.mark.owasp(line="API1")

NAMES_SOMETHING = re.compile(r"(id|key|cursor|actor|target)$", re.IGNORECASE)
"""Parameters and fields that name an object; in a path, all do."""


def test_every_parameter_that_names_an_object_stands_in_the_table(surface: list[Operation]) -> None:
    named = {
        (operation.name, field.name)
        for operation in surface
        for field in (*operation.parameters, *operation.fields)
        if field.place == "path" or NAMES_SOMETHING.search(field.name)
    }
    assert {(row.route, name) for row in TABLE for name in row.names.split()} == named


def comparable(answer: httpx.Response) -> tuple[int, Any]:
    """Return the answer without what differs from request to request."""
    if not answer.headers["content-type"].endswith("json"):
        return answer.status_code, answer.content
    document = answer.json()
    return answer.status_code, (
        {name: value for name, value in document.items() if name != "requestId"}
        if isinstance(document, dict)
        else document
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.route} by {row.names}")
def test_the_second_of_a_role_gets_what_the_design_gives_and_no_more(
    pairs: Mapping[Role, Pair], store: Store, row: Row
) -> None:
    for (role, pair), status in zip(pairs.items(), map(int, row.answers.split()), strict=True):
        before = rows_of(pair.owned, store)
        assert None not in before.values(), "the owned is there"
        answer = row.ask(pair.attacker, pair.owned)
        assert answer.status_code == status, f"{role}: {answer.text}"
        if role is Role.ADMIN and (answer.is_success or status == 409):
            continue
        assert rows_of(pair.owned, store) == before, role
        if row.hidden and not answer.is_success:
            missed = row.ask(pair.attacker, pair.owned.nothing())
            assert comparable(missed) == comparable(answer), f"{role} can tell that it exists"


@pytest.mark.parametrize("role", list(Role))
def test_lists_of_ones_own_hold_nobody_elses(pairs: Mapping[Role, Pair], role: Role) -> None:
    """However the list is asked for: with foreign ids as a place to go on from, or beside the path."""
    pair = pairs[role]
    theirs = {pair.owned.user_id, pair.owned.reference_id, pair.owned.session_id, pair.owner.email}
    aside = {"userId": pair.owned.user_id, "user_id": pair.owned.user_id, "_id": pair.owned.user_id}
    for path in (
        f"{USERS}/profile",
        f"{USERS}/sessions",
        f"{PAYMENTS}/history/{pair.attacker.id}",
        f"{PAYMENTS}/received",
    ):
        for params in (aside, {"cursor": pair.owned.reference_id}):
            answer = pair.attacker.call("GET", path, params=params)
            assert answer.status_code in (200, 403), answer.text
            assert [each for each in theirs if each in answer.text] == [], path
