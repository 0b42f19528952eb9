"""Remove from events what is personal, before they are stored.

KernaPay needs none of it: an event is about ids, amounts and states. What was never stored cannot leak, and whoever is
erased leaves nothing here, also not with the events that the gateway sends later.
"""

import json
import re
from typing import Any, Final

from kernapay.gateway.decoding import Unreadable, read_json

# Razorpay adds fields, so the words in a name decide. `entity_name` would go as well, and nobody reads that.
_PERSONAL: Final = re.compile(
    r"(?:^|_)(?:e?mail|contact|phone|mobile|vpa|upi_id|name|address|account_number|holder|dob|birth|pan|gstin|ip"
    r"|user_agent|latitude|longitude|customer_details)(?:$|_)"
)


def remove_personal(body: bytes) -> bytes:
    """Return the body of an event without what is personal. One that has nothing, or is no JSON, stays as it is."""
    try:
        document = read_json(body)
        # Not msgspec: it refuses integers of more than 64 bits.
        return json.dumps(document, separators=(",", ":")).encode() if _clear(document) else body
    except (Unreadable, RecursionError):
        return body


def _clear(value: Any) -> bool:
    """Clear the personal fields of a document in place. Return whether there were any."""
    if isinstance(value, list):
        found = [_clear(each) for each in value]
        return any(found)
    if not isinstance(value, dict):
        return False
    has_any = False
    for name, each in value.items():
        if each in (None, "", [], {}):
            continue
        if _PERSONAL.search(name.lower()):
            value[name] = None
            has_any = True
        else:
            has_any |= _clear(each)
    return has_any
