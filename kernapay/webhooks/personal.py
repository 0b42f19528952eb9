"""Remove from events what is personal, before they are stored, and what a business wrote: it may name a person.

KernaPay needs none of it: an event is about ids, amounts and states. What was never stored cannot leak, and whoever is
erased leaves nothing here, also not with the events that the gateway sends later.
"""

import json
import re
from functools import lru_cache
from typing import Any, Final

from kernapay.gateway.decoding import Unreadable, read_json
from kernapay.payments.order_notes import own_notes

# Razorpay adds fields, so the words in a name decide. `entity_name` would go as well, and nobody reads that.
_PERSONAL: Final = re.compile(
    r"(?:^|_)(?:e?mail|contact|phone|mobile|vpa|upi_id|name|address|account_number|holder|dob|birth|pan|gstin|ip"
    r"|user_agent|latitude|longitude|customer_details)(?:$|_)"
)
# Of orders, payments, refunds and disputes, and of the gateway's other products on the same account.
_TEXT: Final = re.compile(
    r"(?:^|_)(?:notes?|descriptions?|comments?|remarks?|narration|summary|terms|title|message|custom_fields?)$"
)
# The gateway's and the bank's own words. KernaPay reads those about a dispute.
_NO_TEXT: Final = frozenset({"error_description", "reason_description"})
_NOTES: Final = "notes"


def remove_personal(body: bytes) -> bytes:
    """Return the body of an event without what is personal, and without texts of the business.

    One that has nothing, or is no JSON, stays as it is.
    """
    try:
        document = read_json(body)
        # Not msgspec: it refuses integers of more than 64 bits.
        return json.dumps(document, separators=(",", ":")).encode() if _clear(document) else body
    except (Unreadable, RecursionError):
        return body


def _clear(value: Any) -> bool:
    """Clear the personal fields and the texts of a document in place. Return whether there were any."""
    if isinstance(value, list):
        found = [_clear(each) for each in value]
        return any(found)
    if not isinstance(value, dict):
        return False
    has_any = False
    for name, each in value.items():
        if each in (None, "", [], {}):
            continue
        if _is_cleared(name):
            value[name] = (own_notes(each) or None) if name.lower() == _NOTES else None
            has_any |= value[name] != each
        elif isinstance(each, dict | list):
            has_any |= _clear(each)
    return has_any


# The gateway has few hundred names of fields.
@lru_cache(2048)
def _is_cleared(name: str) -> bool:
    """Return whether a field of this name is personal or a text of the business."""
    lowered = name.lower()
    is_text = _TEXT.search(lowered) and lowered not in _NO_TEXT
    return bool(_PERSONAL.search(lowered) or is_text)
