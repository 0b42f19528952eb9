"""What schemathesis needs to know of the world: loaded by SCHEMATHESIS_HOOKS, not by pytest."""

import hashlib
import hmac
import os
from typing import Any

import requests
import schemathesis
from schemathesis.schemas import APIOperation

Case = schemathesis.Case[APIOperation[Any, Any, Any, Any]]
API = os.environ["FUZZED_API"]
LOGIN = {"email": os.environ["FUZZED_EMAIL"], "password": os.environ["FUZZED_PASSWORD"]}
OWN_ID = os.environ["FUZZED_ID"]
NOBODY = "0" * 24
WEBHOOK_SECRET = os.environ["FUZZED_WEBHOOK_SECRET"].encode()
ENDS_THE_SESSION = {
    *("users_log_out", "users_end_session", "users_end_sessions"),
    "console_sign_out",
}


class SignedByTheGateway(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        assert isinstance(body, bytes | str)
        signed = body if isinstance(body, bytes) else body.encode()
        signature = hmac.new(WEBHOOK_SECRET, signed, hashlib.sha256).hexdigest()
        request.headers["X-Razorpay-Signature"] = signature
        return request


# The headers made here. What a check puts in their place, to see whether it is refused, stays as it is.
tokens: set[str] = set()


def log_in() -> str:
    """Sign in once more; return the value of the header."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{API}/v1/api/users/login", json=LOGIN, timeout=20)
    answer.raise_for_status()
    header = f"Bearer {answer.json()['token']}"
    tokens.add(header)
    return header


@schemathesis.auth()
class SignedIn:
    def get(self, case: Case, context: schemathesis.AuthContext) -> str:
        return log_in()

    def set(self, case: Case, data: str, context: schemathesis.AuthContext) -> None:
        if case.operation.definition.raw.get("security") != [{}]:
            case.headers["Authorization"] = data


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    name = case.operation.definition.raw["operationId"]
    if name == "webhooks_receive":
        kwargs["auth"] = SignedByTheGateway()
    elif (case.path_parameters or {}).get("user_id") == OWN_ID and name.startswith(
        "administration_"
    ):
        # It takes ids out of answers. An administrator who locks themselves out ends the run.
        case.path_parameters["user_id"] = NOBODY
    elif name in ENDS_THE_SESSION and case.headers.get("Authorization") in tokens:
        case.headers["Authorization"] = log_in()
