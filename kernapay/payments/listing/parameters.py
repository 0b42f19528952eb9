"""The filters of lists and totals, as a client sends them in the query."""

import re
from typing import Annotated, Final

import msgspec
from litestar.openapi.spec import Schema
from litestar.params import QueryParameter

from kernapay.core.errors import InvalidInput
from kernapay.core.ids import OBJECT_ID_PATTERN
from kernapay.core.patterns import NAME
from kernapay.payments.listing.service import Entry, Filters
from kernapay.payments.metadata import NAME_PATTERN
from kernapay.payments.parameters import FROM, TO
from kernapay.payments.states import Status
from kernapay.security.principal import Authenticated
from kernapay.web.openapi.document import DEEP_OBJECTS

_MOST: Final = 2**53
# Of metadata that earlier versions took.
_LONGEST_TEXT: Final = 256
_BRACKETED: Final = re.compile(rf"metadata\[({NAME_PATTERN})\]")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_WORDS: Final = {"true": True, "false": False}
_METADATA_SCHEMA: Final = Schema(
    type="object",  # type: ignore[arg-type]
    max_properties=1,
    property_names=Schema(pattern=f"^{NAME_PATTERN}$"),
    additional_properties=Schema(type="string", min_length=1),  # type: ignore[arg-type]
)
DOCUMENTED: Final = {DEEP_OBJECTS: {"metadata": _METADATA_SCHEMA}}
"""The `opt` of a controller that reads these filters."""


StatusFilter = Annotated[
    Status | None, QueryParameter(description="Only payments with this status.")
]
MethodFilter = Annotated[
    str | None,
    QueryParameter(
        pattern=NAME,
        max_length=64,
        description="Only those paid with it: card, netbanking, upi, wallet, emandate.",
    ),
]
ServiceTypeFilter = Annotated[
    str | None,
    QueryParameter(
        name="serviceType", pattern=NAME, max_length=64, description="Only this service type."
    ),
]
ProviderFilter = Annotated[
    str | None,
    QueryParameter(
        name="providerId",
        pattern=NAME,
        max_length=64,
        description="Only those for which the payer wrote this provider.",
    ),
]
UserFilter = Annotated[
    str | None,
    QueryParameter(
        name="userId",
        pattern=OBJECT_ID_PATTERN,
        description="Only this payer's. Others than administrators see only their own.",
    ),
]
CustomerFilter = Annotated[
    str | None,
    QueryParameter(
        pattern=OBJECT_ID_PATTERN,
        description="Only those for the customer of a shop with this `_id`.",
    ),
]
LeastFilter = Annotated[
    int | None,
    QueryParameter(
        name="minAmount", ge=1, le=_MOST, description="The least amount, in minor units."
    ),
]
MostFilter = Annotated[
    int | None,
    QueryParameter(
        name="maxAmount", ge=1, le=_MOST, description="The largest amount, in minor units."
    ),
]
StartFilter = Annotated[str | None, FROM]
EndFilter = Annotated[str | None, TO]
LateFilter = Annotated[
    bool | None,
    QueryParameter(
        description="Only those of which money came after an unpaid end of the sale, be it that it counts, goes back "
        "or waits for a person; or, with false, only the others."
    ),
]
DisputedFilter = Annotated[
    bool | None,
    QueryParameter(
        description="Only those with any dispute, whatever became of it; or, with false, only the others. For "
        "administrators and API keys."
    ),
]
MetadataFilter = Annotated[
    str | None,
    QueryParameter(
        description="Only those with this entry, such as `metadata[cart]=c-42`: one at a time. An integer, `true` and "
        '`false` stand for themselves, so write text that looks like these in double quotes: `"42"`.'
    ),
]


async def read_filters(
    request: Authenticated,
    status: StatusFilter = None,
    method: MethodFilter = None,
    service_type: ServiceTypeFilter = None,
    provider_id: ProviderFilter = None,
    user_id: UserFilter = None,
    min_amount: LeastFilter = None,
    max_amount: MostFilter = None,
    start: StartFilter = None,
    end: EndFilter = None,
    late: LateFilter = None,
    disputed: DisputedFilter = None,
    metadata: MetadataFilter = None,
) -> Filters:
    """Return the filters. Raises InvalidInput, naming the field."""
    if metadata is not None:
        raise InvalidInput(
            "Put the name of the entry into brackets: metadata[cart]=c-42.", field="metadata"
        )
    return Filters(
        user_id,
        status,
        method,
        service_type,
        provider_id,
        min_amount,
        max_amount,
        start,
        end,
        late,
        disputed,
        _read_entry(request),
    )


def _read_entry(request: Authenticated) -> Entry | None:
    sent = request.query_params.multi_items() if request.scope["query_string"] else ()
    found = [(name, text) for name, text in sent if name.startswith("metadata[")]
    if not found:
        return None
    if len(found) > 1:
        raise InvalidInput("Search by one entry at a time.", field="metadata")
    ((name, text),) = found
    inner = _BRACKETED.fullmatch(name)
    if inner is None:
        raise InvalidInput(
            "The name in the brackets must be made of letters, digits and . _ - only.",
            field="metadata",
        )
    return Entry(inner[1], _read_value(text, f"metadata[{inner[1]}]"))


def _read_value(text: str, field: str) -> str | int | bool:
    """Return the typed value that a text stands for. Raises InvalidInput, naming the field."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        # Python refuses to read very long integers.
        if len(text) <= len(str(-_MOST)) and abs(int(text)) <= _MOST:
            return int(text)
        raise InvalidInput("Too large for an integer. Put text into double quotes.", field=field)
    value = _unquote(text, field) if text.startswith('"') else text
    if not text or text == "null":
        raise InvalidInput("Must be a value. Write the text itself in double quotes.", field=field)
    if len(value) > _LONGEST_TEXT:
        raise InvalidInput(f"Must have at most {_LONGEST_TEXT} characters.", field=field)
    return value


def _unquote(text: str, field: str) -> str:
    try:
        return msgspec.json.decode(text, type=str)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidInput(
            "Must be a JSON string, because it begins with a quote.", field=field
        ) from error
