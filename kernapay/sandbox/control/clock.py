from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from msgspec import Struct

from kernapay.sandbox.assembly import Sandbox
from kernapay.sandbox.control.body import read
from kernapay.sandbox.errors import ControlError
from kernapay.sandbox.fields import EARLIEST, LATEST
from kernapay.sandbox.rest.call import AnyRequest, answer


class ClockChange(Struct, forbid_unknown_fields=True, kw_only=True):
    """`reset` goes back to real time; then `now` (Unix seconds), `advance` (seconds), `frozen`."""

    reset: bool = False
    now: float | None = None
    advance: float | None = None
    frozen: bool | None = None


class ClockController(Controller):
    path = "/_sandbox/clock"

    @get("/")
    async def show(self, sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
        return clock_view(sandbox)

    @post("/", status_code=200)
    async def change(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        wanted = await read(request, ClockChange)
        clock = sandbox.clock
        moment = clock.now() if wanted.now is None else wanted.now
        moment += wanted.advance or 0
        if wanted.advance is not None and wanted.advance < 0:
            raise ControlError("advance must not be negative; set now to go back.", field="advance")
        if not EARLIEST <= moment <= LATEST:
            raise ControlError(f"The time must be from {EARLIEST} to {LATEST}.", field="now")
        if wanted.reset:
            clock.reset()
        if wanted.frozen is not None:
            clock.freeze() if wanted.frozen else clock.resume()
        if wanted.now is not None or wanted.advance is not None:
            clock.set(moment)
        sandbox.agenda.run_due()
        return clock_view(sandbox)


def clock_view(sandbox: Sandbox) -> Response[bytes]:
    return answer({"now": sandbox.clock.now(), "frozen": sandbox.clock.frozen})
