"""What a development stack chooses from the environment, before anything starts."""

from pathlib import Path

import pytest

from kernapay.devstack.plan import Ports, make_plan
from kernapay.devstack.process import ServerError

OWN_SERVERS = {"MONGODB_URL": "mongodb://db/shop", "REDIS_URL": "redis://cache"}


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"RAZORPAY_KEY_ID": "rzp_test_mine"}, "but RAZORPAY_KEY_SECRET is not"),
        ({"RAZORPAY_KEY_SECRET": "hunter2"}, "but RAZORPAY_KEY_ID is not"),
        ({"RAZORPAY_KEY_ID": "rzp_test_mine", "RAZORPAY_KEY_SECRET": ""}, "_SECRET is not"),
        ({"RAZORPAY_KEY_ID": "rzp_live_mine", "RAZORPAY_KEY_SECRET": "hunter2"}, "real money"),
    ],
)
def test_keys_that_do_not_belong_there_are_refused(
    tmp_path: Path, keys: dict[str, str], text: str
) -> None:
    with pytest.raises(ServerError, match=text) as refusal:
        make_plan(tmp_path, {**OWN_SERVERS, **keys}, Ports())
    assert "hunter2" not in str(refusal.value)


def test_an_empty_variable_hides_the_one_in_the_file_from_the_children_too(tmp_path: Path) -> None:
    empty = {"METRICS_TOKEN": "", "JWT_SECRET": "", "RAZORPAY_KEY_ID": ""}
    plan = make_plan(tmp_path, {**OWN_SERVERS, **empty}, Ports())
    assert plan.env["METRICS_TOKEN"] == ""
    assert plan.env["JWT_SECRET"]
    assert plan.env["RAZORPAY_KEY_ID"].startswith("rzp_test_")
