from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import MAX_TIME, MIN_TIME
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json


class ClockChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """`now` is Unix seconds, `advance` seconds. A reset to real time comes before the others."""

    reset: bool = False
    now: float | None = None
    advance: float | None = None
    frozen: bool | None = None


class ClockController(Controller):
    path = "/_sandbox/clock"

    @get("/")
    async def show(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return clock_response(sandbox)

    @post("/", status_code=200)
    async def change(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        change = await read_json(request, ClockChange)
        clock = sandbox.clock
        moment = clock.now() if change.now is None else change.now
        moment += change.advance or 0
        if change.advance is not None and change.advance < 0:
            raise ControlError(
                "advance must not be negative. To go back, set now.", field="advance"
            )
        if not MIN_TIME <= moment <= MAX_TIME:
            raise ControlError(
                f"The time must be from {MIN_TIME} to {MAX_TIME}, in Unix seconds.", field="now"
            )
        if change.reset:
            clock.reset()
        if change.frozen is not None:
            clock.freeze() if change.frozen else clock.resume()
        if change.now is not None or change.advance is not None:
            clock.set(moment)
        sandbox.scheduler.run_due()
        return clock_response(sandbox)


def clock_response(sandbox: Sandbox) -> Response[bytes]:
    return json_response({"now": sandbox.clock.now(), "frozen": sandbox.clock.frozen})
