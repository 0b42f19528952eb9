"""Conditions and changes are what MongoEngine makes of the same keywords."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from mongoengine.base import BaseDocument
from mongoengine.errors import InvalidQueryError, ValidationError
from mongoengine.queryset import transform

from kernapay.payments.models import Payment, Step, SurplusPayment
from kernapay.payments.states import RefundState, Source, Status, SurplusReason
from kernapay.storage.fields import TextId
from kernapay.storage.keywords import query_of, update_of
from tests.house.documents import every_document

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
STEP = Step(status=Status.SUCCESS, at=AT, source=Source.API, final=True)
SURPLUS = SurplusPayment(
    payment_id="pay_1",
    amount=1,
    reason=SurplusReason.LATE,
    at=AT,
    status=RefundState.REQUESTED,
)
CONDITIONS: list[dict[str, Any]] = [
    {"id": ObjectId(), "user_id": ObjectId()},
    {"pk": str(ObjectId()), "user_id": TextId(ObjectId())},
    {"status": Status.PENDING, "amount": 5, "currency": "INR"},
    {"currency": "USD", "final__ne": True, "razorpay_order_id": None},
    {"status__in": [Status.PENDING, Status.FAILED], "id__nin": (ObjectId(),)},
    {"created_at__gt": AT, "created_at__lte": AT},
    {"surplus_payments__payment_id__ne": "pay_1", "disputes__status__in": ["open"]},
    {"__raw__": {"status": {"$in": ["pending"]}, "$expr": {"$eq": [1, 1]}}, "status": "failed"},
    {"__raw__": {"history": {"$size": 2}}, "amount__gte": 1},
    {"history__size": 1},
    {"history__0__source": "api"},
    {"receipt__startswith": "KP"},
    {"metadata__room": "2"},
]
CHANGES: list[dict[str, Any]] = [
    {"set__status": Status.SUCCESS, "push__history": STEP, "set__announce": AT},
    {"set__fee": None, "set__amount": 7, "set__payee_id": str(ObjectId()), "unset__ends_at": True},
    {"push_all__surplus_payments": [SURPLUS], "set__updated_at": AT},
    {"push__surplus_orders": ["order_1"]},
    {"set__note_hashes": ["a"], "set__notes": {"cart": "42"}},
    {"min__check_at": AT, "set__checks": 0},
    {"add_to_set__surplus_orders": ["order_1"]},
    {"inc__checks": 1},
    {"__raw__": {"$set": {"disputes.$.warnAt": None}}, "set__updated_at": AT},
    {"status": Status.FAILED},
]


def told(make: Any, *given: Any, **names: Any) -> Any:
    """Return what is made, or why it is refused."""
    try:
        return make(*given, **names)
    except (ValidationError, ValueError, TypeError, AttributeError) as error:
        return type(error)


@pytest.mark.parametrize("where", CONDITIONS, ids=" ".join)
def test_a_condition_is_mongoengines(where: dict[str, Any]) -> None:
    made = query_of(Payment, where)
    assert made == transform.query(Payment, **where)
    assert made == query_of(Payment, where), "what was looked up once"


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
def test_a_change_is_mongoengines(change: dict[str, Any]) -> None:
    assert update_of(Payment, change) == transform.update(Payment, **change)


@pytest.mark.parametrize("model", every_document(), ids=lambda model: str(model.__name__))
def test_every_field_of_a_document_is_found(model: type[BaseDocument]) -> None:
    for name in model._fields:
        for value in (None, "x", 1, AT):
            for where in ({name: value}, {f"{name}__ne": value}, {f"{name}__in": [value]}):
                ours = told(query_of, model, where)
                assert ours == told(transform.query, model, **where), where
            for change in ({f"set__{name}": value}, {f"unset__{name}": value}):
                ours = told(update_of, model, change)
                assert ours == told(transform.update, model, **change), change


@pytest.mark.parametrize("name", ["stauts", "stauts__in", "stauts__ne"])
def test_a_name_that_is_no_field_is_refused(name: str) -> None:
    with pytest.raises(InvalidQueryError, match="stauts"):
        query_of(Payment, {name: ["x"]})
    with pytest.raises(InvalidQueryError, match="stauts"):
        update_of(Payment, {"set__stauts": "x"})
