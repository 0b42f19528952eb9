from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from kernapay.sandbox.bootstrap import Sandbox
from kernapay.sandbox.control.rows import require_row
from kernapay.sandbox.errors import ControlError, check_choice
from kernapay.sandbox.json_http import AnyRequest, json_response, read_json
from kernapay.sandbox.settlements import FINAL_STATUSES, FOREIGN_ROWS, STATUSES, AdjustmentTerms
from kernapay.sandbox.views import settlement_view

LARGEST = 2**53


class Settle(Struct, forbid_unknown_fields=True, kw_only=True):
    """`limit` is what the balance covers, in paise: what does not fit waits for the next settlement."""

    limit: int | None = None
    status: str = "processed"
    foreign_rows: str = "base"


class Process(Struct, forbid_unknown_fields=True):
    status: str = "processed"


class SettlingController(Controller):
    """Simulate the settlements to the bank account."""

    path = "/_sandbox"

    @post("/settle", status_code=200)
    async def settle(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        body = await read_json(request, Settle)
        check_choice("status", body.status, STATUSES)
        check_choice("foreign_rows", body.foreign_rows, FOREIGN_ROWS)
        settlements = [
            sandbox.settlements.settle(
                key_id, limit=body.limit, status=body.status, foreign_rows=body.foreign_rows
            )
            for key_id in sandbox.config.keys
        ]
        return json_response({"settlements": [settlement_view(s) for s in settlements if s]})

    @post("/settlements/{settlement_id:str}/process", status_code=200)
    async def process(
        self,
        request: AnyRequest,
        settlement_id: FromPath[str],
        sandbox: NamedDependency[Sandbox],
    ) -> Response[bytes]:
        body = await read_json(request, Process)
        check_choice("status", body.status, FINAL_STATUSES)
        settlement = require_row(sandbox.store.settlements, settlement_id)
        return json_response(settlement_view(sandbox.settlements.process(settlement, body.status)))

    @post("/adjustments", status_code=200)
    async def adjust(
        self, request: AnyRequest, sandbox: NamedDependency[Sandbox]
    ) -> Response[bytes]:
        terms = await read_json(request, AdjustmentTerms)
        for name in ("credit", "debit", "fee", "tax"):
            if not 0 <= getattr(terms, name) <= LARGEST:
                raise ControlError(f"{name} must be from 0 to {LARGEST}.", field=name)
        row = sandbox.settlements.adjust(sandbox.config.first_key, terms)
        return json_response(row)
