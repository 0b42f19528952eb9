"""The contract is recorded; a change of it is told in one sentence that says whether it breaks clients."""

from copy import deepcopy
from typing import Any

import pytest

from tests.aliases import Json
from tests.contract.changes import Change, compare, has_releases, unexplained
from tests.contract.outline import outline_of, parse, render
from tests.contract.renew import CHANGELOG, RECORD

CREATE = "/v1/api/payments/create"


def test_the_contract_is_the_recorded_one(document: Json) -> None:
    changes = compare(parse(RECORD.read_text()), outline_of(document))
    lines = [
        f"{'breaks clients' if change.breaks else 'no client breaks'}: {change.sentence}"
        for change in changes
    ]
    assert not lines, "\n".join([*lines, "Is it meant? python -m tests.contract.renew"])


def test_the_record_reads_as_it_was_written(document: Json) -> None:
    outline = outline_of(document)
    assert parse(render(outline)) == outline
    assert f"call POST {CREATE}" in outline
    assert outline["sent PaymentCreate.amount"] == "integer, required"
    assert outline["limit sent PaymentCreate.amount minimum"] == "1"


def schemas(document: Json) -> Json:
    found: Json = document["components"]["schemas"]
    return found


def remove_call(document: Json) -> None:
    del document["paths"][CREATE]["post"]


def remove_answer_field(document: Json) -> None:
    del schemas(document)["PaymentView"]["properties"]["status"]


def require_field(document: Json) -> None:
    schemas(document)["PaymentCreate"]["properties"]["colour"] = {"type": "string"}
    schemas(document)["PaymentCreate"]["required"].append("colour")


def add_optional_field(document: Json) -> None:
    schemas(document)["PaymentCreate"]["properties"]["colour"] = {"type": "string"}


def add_answer_field(document: Json) -> None:
    schemas(document)["PaymentView"]["properties"]["colour"] = {"type": "string"}


def require_optional_field(document: Json) -> None:
    schemas(document)["PaymentCreate"]["required"].append("description")


def narrow_limit(document: Json) -> None:
    schemas(document)["PaymentCreate"]["properties"]["amount"]["maximum"] = 5


def widen_limit(document: Json) -> None:
    schemas(document)["PaymentCreate"]["properties"]["amount"]["minimum"] = 0


def narrow_type(document: Json) -> None:
    schemas(document)["PaymentCreate"]["properties"]["description"] = {"type": "null"}


def widen_answer(document: Json) -> None:
    field = schemas(document)["PaymentView"]["properties"]["amount"]
    schemas(document)["PaymentView"]["properties"]["amount"] = {"anyOf": [field, {"type": "null"}]}


def narrow_enum(document: Json) -> None:
    schemas(document)["Role"]["enum"].remove("USER")


def answer_sometimes(document: Json) -> None:
    schemas(document)["PaymentView"]["required"].remove("amount")


@pytest.mark.parametrize(
    ("change", "breaks", "said"),
    [
        (remove_call, True, f"`POST {CREATE}` is gone"),
        (remove_answer_field, True, "`got PaymentView.status` is gone"),
        (require_field, True, "`sent PaymentCreate.colour` is required now, and was unknown"),
        (add_optional_field, False, "`sent PaymentCreate.colour` is new"),
        (add_answer_field, False, "`got PaymentView.colour` is new"),
        (
            require_optional_field,
            True,
            "`sent PaymentCreate.description` was null|string and is null|string, required",
        ),
        (
            narrow_limit,
            True,
            "`limit sent PaymentCreate.amount maximum` was 9007199254740992 and is 5",
        ),
        (widen_limit, False, "`limit sent PaymentCreate.amount minimum` was 1 and is 0"),
        (narrow_type, True, "`sent PaymentCreate.description` was null|string and is null"),
        (
            widen_answer,
            True,
            "`got PaymentView.amount` was integer, required and is integer|null, required",
        ),
        (narrow_enum, True, '`sent Role value "USER"` is gone'),
        (answer_sometimes, True, "`got PaymentView.amount` was integer, required and is integer"),
    ],
)
def test_a_change_says_whether_it_breaks_clients(
    document: Json, change: Any, breaks: bool, said: str
) -> None:
    changed = deepcopy(document)
    change(changed)
    assert Change(breaks, said) in compare(outline_of(document), outline_of(changed))


def test_once_a_version_is_released_what_breaks_has_to_be_in_the_changelog() -> None:
    changes = [
        Change(True, "`got PaymentView.amount` is gone"),
        Change(True, f"`POST {CREATE}` is gone"),
        Change(False, "`got PaymentView.colour` is new"),
    ]
    told = "# Changelog\n\n## 0.2.0\n\n### Breaking\n\n- `PaymentView.amount` is `PaymentView.sum`.\n\n## 0.1.0\n"
    assert list(unexplained(changes, told)) == [f"`POST {CREATE}` is gone"]
    assert list(unexplained(changes, told.replace("Breaking", "New"))) == [
        each.sentence for each in changes if each.breaks
    ]
    assert has_releases(told)
    assert not has_releases("# Changelog\n\n## 0.1.0, not released yet\n")
    assert "### Breaking" in CHANGELOG.read_text()
