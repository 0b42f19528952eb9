"""Parameters that several routes on payments take."""

from typing import Annotated

from litestar.params import PathParameter, QueryParameter

from kernapay.payments.references import REFERENCE_PATTERN

Reference = Annotated[
    str,
    PathParameter(
        pattern=REFERENCE_PATTERN,
        max_length=128,
        description="The `referenceId` of the answer to `create`.",
    ),
]
Count = Annotated[int, QueryParameter(ge=1, le=100, description="How many payments at most.")]
Skip = Annotated[
    int, QueryParameter(ge=0, le=10_000, description="How many of the newest to leave out.")
]
Cursor = Annotated[
    str | None,
    QueryParameter(
        pattern=REFERENCE_PATTERN,
        max_length=128,
        description="The `referenceId` of the last payment you have; `skip` is ignored then.",
    ),
]
