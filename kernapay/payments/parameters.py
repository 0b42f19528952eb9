"""Parameters that several payment routes have in common."""

from typing import Annotated

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.payments.fields import KEY_PATTERN
from kernapay.payments.references import REFERENCE_PATTERN

Reference = Annotated[
    str,
    PathParameter(
        pattern=REFERENCE_PATTERN,
        max_length=128,
        description="The `referenceId` from the answer of `create`.",
    ),
]
Payer = Annotated[str, PathParameter(pattern=OBJECT_ID_PATTERN, description="The payer's `_id`.")]
Count = Annotated[
    int, QueryParameter(ge=1, le=100, description="The largest number of payments to return.")
]
Skip = Annotated[
    int, QueryParameter(ge=0, le=10_000, description="How many of the newest payments to skip.")
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        pattern=REFERENCE_PATTERN,
        max_length=128,
        description="The `referenceId` of the last payment on the previous page. With it, `skip` is ignored.",
    ),
]
IdempotencyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=KEY_PATTERN,
        min_length=1,
        max_length=128,
        description="The `idempotencyKey`, unless the body contains it. If both are sent, they must be equal.",
    ),
]
FROM = QueryParameter(
    name="from",
    min_length=10,
    max_length=40,
    description="Created from then on: a day of the business, or a time as in RFC 3339.",
)
TO = QueryParameter(name="to", min_length=10, max_length=40, description="Created before then.")
