"""JSON web tokens as KernaPay signs them, and as it must not take them."""

import base64
import json
from typing import Any

from jose import jwt

from tests.aliases import Json
from tests.stack import JWT_SECRET


def claims_of(token: str) -> Json:
    claims: Json = jwt.get_unverified_claims(token)
    return claims


def signed(claims: Json, secret: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return str(jwt.encode(claims, secret, algorithm=algorithm))


def encoded(document: Any) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
