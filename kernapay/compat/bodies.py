"""Translate bodies of the Express contract into KernaPay's."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from kernapay.compat.roles import to_ours
from kernapay.compat.rupees import to_paise
from kernapay.core.errors import InvalidInput
from kernapay.core.patterns import DECODE_ERRORS
from kernapay.payments.imported.keys import stored_key
from kernapay.web.json_body import refuse_doubles

Fields = dict[str, Raw]
"""The fields of a body, each as it stands in the JSON, so that what is not translated stays as it is."""

Translation = Callable[[Fields, Mapping[bytes, bytes]], Fields]
"""Turns the fields of a request with these headers into KernaPay's."""

_decode = msgspec.json.Decoder(Fields).decode
_OF_PAYMENT: Final = frozenset(
    ("amount", "currency", "description", "providerId", "serviceType", "idempotencyKey")
)
_DEFAULTS: Final = {"currency": "INR", "serviceType": "CONSULTATION"}
_KEY: Final = "idempotencyKey"
_UNKNOWN: Final = "Unknown field. The Express service had none of this name."


def read_fields(body: bytes) -> Fields:
    """Return the fields of a body. Raises InvalidInput."""
    try:
        # Whole, so that each field can be decoded by itself.
        msgspec.json.decode(body)
        fields = _decode(body)
        # As KernaPay does, which sees only what this returns.
        json.loads(body, object_pairs_hook=refuse_doubles, parse_int=str, parse_float=str)
    except (*DECODE_ERRORS, ValueError) as error:
        raise InvalidInput("Must be a JSON object.", field="body") from error
    return fields


def payment(fields: Fields, headers: Mapping[bytes, bytes]) -> Fields:
    """Return the body of `create` with its amount in paise. Raises InvalidInput naming the field.

    A field that only KernaPay's contract has is refused, because its sender probably means paise.
    """
    for name in fields:
        if name not in _OF_PAYMENT:
            raise InvalidInput(_UNKNOWN, field=name[:64])
    if "amount" not in fields:
        raise InvalidInput("Required.", field="amount")
    for name, value in _DEFAULTS.items():
        fields.setdefault(name, _raw(value))
    if bytes(fields["currency"]).strip() != b'"INR"':
        raise InvalidInput("Must be INR.", field="currency")
    if _KEY not in fields and b"idempotency-key" not in headers:
        # As the Express service did: such a call cannot be repeated safely.
        fields[_KEY] = _raw(f"express_{secrets.token_urlsafe(16)}")
    _change(fields, _KEY, _as_stored)
    _change(fields, "description", _in_one_line)
    _change(fields, "description", _as_typed)
    fields["amount"] = _raw(to_paise(fields["amount"]))
    return fields


def account(fields: Fields, _: Mapping[bytes, bytes]) -> Fields:
    """Return the body of a sign-up or a profile change. DOCTOR becomes PROVIDER, and `91` becomes `+91`."""
    _change(fields, "name", _as_typed)
    _change(fields, "type", to_ours)
    _change(fields, "countryCode", _with_plus)
    return fields


def key_of(fields: Fields, headers: Mapping[bytes, bytes]) -> str:
    """Return the idempotency key of a call that has created a payment, "" if it has none."""
    if _KEY in fields:
        return str(msgspec.json.decode(fields[_KEY]))
    return headers.get(b"idempotency-key", b"").decode("latin-1")


def _change(fields: Fields, name: str, translate: Callable[[object], object]) -> None:
    if name in fields:
        fields[name] = _raw(translate(msgspec.json.decode(fields[name])))


def _as_stored(key: object) -> object:
    # The Express service took any text, and kept it as its filter had changed it.
    return stored_key(key.replace("<", "&lt;")) if isinstance(key, str) else key


def _in_one_line(text: object) -> object:
    return " ".join(text.split()) if isinstance(text, str) else text


def _as_typed(text: object) -> object:
    # A form sends back what an answer of here has shown, with `&lt;`. To the Express service both were the same.
    return text.replace("&lt;", "<") if isinstance(text, str) else text


def _with_plus(code: object) -> object:
    return f"+{code}" if isinstance(code, str) and code.isdecimal() else code


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
