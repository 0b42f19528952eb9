"""The complete list of calls in the Express contract, each with the KernaPay call that does its work."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kernapay.compat import answers, bodies
from kernapay.compat.bodies import Translation

Shape = Callable[[Any, int, str], answers.Json]
"""Turns an answer with its status, and the idempotency key of its request, into one of the old contract."""


class Route(NamedTuple):
    """One call. `target` is KernaPay's path, in which `{}` is the id that the path ended in.

    `statuses` has the old contract's statuses in the place of KernaPay's, `texts` its words for errors by field or
    code, and `query` the parameters that go on.
    """

    method: str
    path: re.Pattern[str]
    target: str
    shape: Shape
    body: Translation | None = None
    statuses: Mapping[int, int] = {}
    texts: Mapping[str, str] = {}
    query: tuple[str, ...] = ()


_NO_TOKEN: Final = {"unauthenticated": "Invalid or expired token."}
_UNKNOWN: Final = {"not_found": "Payment not found", **_NO_TOKEN}


def _under(path: str, last: str = "") -> re.Pattern[str]:
    """Return a pattern for a path that ends in an id. `last` is the pattern of the id."""
    # Express ignores the case of a path, and a slash at its end.
    return re.compile(f"(?i:/v1/api/{path})" + (f"/({last})" if last else "") + "/?")


ROUTES: Final = (
    Route(
        "POST",
        _under("user/signup"),
        "/v1/api/users/signup",
        answers.signed_up,
        bodies.account,
        {409: 400},
        {
            "email_taken": "User account already exists!",
            "confirmPassword": "Password and confirm password do not match",
        },
    ),
    Route(
        "POST",
        _under("user/login"),
        "/v1/api/users/login",
        answers.signed_in,
        statuses={200: 202},
        texts={"unauthenticated": "Invalid credentials"},
    ),
    Route("GET", _under("user/profile"), "/v1/api/users/profile", answers.profile, texts=_NO_TOKEN),
    Route(
        "PUT",
        _under("user/updateUser"),
        "/v1/api/users/update",
        answers.updated,
        bodies.account,
        texts=_NO_TOKEN,
    ),
    Route(
        "POST",
        _under("payments/create"),
        "/v1/api/payments/create",
        answers.created,
        bodies.payment,
        texts=_NO_TOKEN,
    ),
    Route(
        "POST",
        _under("payments/verify"),
        "/v1/api/payments/verify",
        answers.verified,
        texts=_UNKNOWN,
    ),
    # The full view, which needs a token and shows nobody the payments of others. Only a reference may stand here: no
    # other word of KernaPay's paths.
    Route(
        "GET",
        _under("payments/status", "PAY_[A-Za-z0-9_-]{1,124}"),
        "/v1/api/payments/{}",
        answers.shown,
        texts=_UNKNOWN,
    ),
    Route(
        "GET",
        _under("payments/paymenthistory", "[A-Za-z0-9]{1,64}"),
        "/v1/api/payments/history/{}",
        answers.listed,
        texts=_NO_TOKEN,
        query=("count", "skip"),
    ),
    # KernaPay's own path too: while the gateway has both URLs, either may lead here.
    Route(
        "POST",
        _under("payments/webhook(?:/razorpay)?"),
        "/v1/api/payments/webhook",
        answers.received,
    ),
    Route("GET", re.compile("/health/ready"), "/health/ready", answers.ready),
)
NOWHERE: Final = Route("", re.compile("(?!)"), "/v1/api/-", answers.received)
"""A path that KernaPay does not have either."""
UNCHANGED: Final = frozenset({"/health/live", "/metrics"})


def find(method: str, path: str) -> tuple[Route, str]:
    """Return the call of a request and its path at KernaPay. OPTIONS stands for every call of a path."""
    for route in ROUTES:
        match = route.path.fullmatch(path)
        if match is not None and method in (route.method, "OPTIONS"):
            return route, route.target.format(*match.groups())
    return NOWHERE, NOWHERE.target
