"""Describe who may call a route, by its guards, for the API document."""

from typing import Final, NamedTuple

from litestar.handlers import HTTPRouteHandler

from kernapay.security.authentication import OPTIONAL, PUBLIC
from kernapay.security.guards import HasScope, IsPerson

BEARER_SCHEME: Final = "BearerToken"
KEY_SCHEME: Final = "ApiKey"
"""The names of the security schemes."""

_PERSON: Final[dict[str, list[str]]] = {BEARER_SCHEME: []}


class Access(NamedTuple):
    """The security requirements of an operation, and the sentence on API keys for its description."""

    security: list[dict[str, list[str]]]
    note: str


def access_of(handler: HTTPRouteHandler) -> Access | None:
    """Return who may call a route; None for a public one, which declares that itself."""
    if handler.opt.get(PUBLIC):
        return None
    guards = handler.resolve_guards()
    nobody: list[dict[str, list[str]]] = [{}] if handler.opt.get(OPTIONAL) else []
    if any(isinstance(guard, IsPerson) for guard in guards):
        return Access([*nobody, _PERSON], "API keys may not do this.")
    for guard in guards:
        if isinstance(guard, HasScope):
            note = f"An API key needs the scope `{guard.scope}`, unless it has no scopes at all."
            # OpenAPI 3.1: for schemes other than OAuth2, the list has the roles that a caller needs.
            return Access([*nobody, _PERSON, {KEY_SCHEME: [guard.scope.value]}], note)
    note = "No scope admits an API key to this: only a key without scopes may do it."
    return Access([*nobody, _PERSON, {KEY_SCHEME: []}], note)
