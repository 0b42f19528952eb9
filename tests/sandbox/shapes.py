"""Compare entities with those of the vendor's samples.

vendor_shapes.json says which fields each entity has in all samples, which in some, and their types.
It was made from the vendor's published documentation.
"""

import json
from pathlib import Path
from typing import Any

SHAPES = json.loads(Path(__file__).with_name("vendor_shapes.json").read_text())
# Null in the real API, but never in the samples.
NULLABLE = {"customer_id", "token_id", "email", "contact"}
# In the text of the documentation, but not in the samples.
DOCUMENTED_ONLY = {
    "late_authorized",
    "refunds",
    "token",
    "transaction",
    "virtual_account",
    "transfers",
}
TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "object",
}


def check_shape(kind: str, entity: dict[str, Any], without: frozenset[str] = frozenset()) -> None:
    shape = SHAPES[kind]
    known = {**shape["always"], **shape["sometimes"]}
    missing = set(shape["always"]) - set(entity) - without
    assert not missing, f"{kind} lacks {missing}"
    unknown = set(entity) - set(known) - DOCUMENTED_ONLY
    assert not unknown, f"{kind} has {unknown}, which no sample has"
    for name, value in entity.items():
        if name in known and not (value is None and name in NULLABLE):
            assert TYPES[type(value)] in known[name], f"{kind}.{name} is {value!r}"
