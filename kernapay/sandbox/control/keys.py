from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from kernapay.sandbox.account_entities import ApiKey
from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.methods import mode_of
from kernapay.sandbox.views import collection

MAX_HOURS = 24


class Rotation(Struct, forbid_unknown_fields=True, kw_only=True):
    """None rotates the current key of the first account. The old key works for `keep_old_hours` more."""

    key_id: str | None = None
    keep_old_hours: float = MAX_HOURS


class KeyController(Controller):
    """Razorpay: keys are regenerated at the dashboard."""

    path = "/_sandbox/keys"

    @get("/")
    async def list(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        current = [sandbox.keyring.current(owner) for owner in sandbox.config.keys]
        ended = [key for key in sandbox.store.api_keys if key.expires_at is not None]
        return json_response(collection(map(key_view, [*current, *ended])))

    @post("/rotate", status_code=200)
    async def rotate(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        """Return the new key pair. Its secret is shown this once."""
        body = await read_json(request, Rotation)
        if not 0 <= body.keep_old_hours <= MAX_HOURS:
            raise ControlError(
                f"keep_old_hours must be from 0 to {MAX_HOURS}.", field="keep_old_hours"
            )
        key_id = body.key_id or sandbox.keyring.current(sandbox.config.first_key).id
        key = sandbox.keyring.rotate(key_id, body.keep_old_hours)
        return json_response({**key_view(key), "key_secret": key.secret})


def key_view(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "account": key.owner,
        "mode": mode_of(key.owner),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
