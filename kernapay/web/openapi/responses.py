"""Declare the errors and raw bodies of handlers for the API document."""

from collections import defaultdict
from inspect import cleandoc
from typing import Any, Final

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example

from kernapay.core.errors import KernaPayError
from kernapay.web.problems import MEDIA_TYPE, Problem, help_of, status_of, type_of

RAW_BODY: Final = "documented_body"
"""The key in a handler's `opt` for the type of a body that the handler reads as bytes."""
OTHER_FORMS: Final = "other_forms"
"""The key in a handler's `opt` for the media types that its file may have beside the usual one."""


def problems(*errors: type[KernaPayError]) -> dict[int, ResponseSpec]:
    """Return the responses for the errors of a handler, one per status.

    Leave out the general ones (authentication, roles, validation, an unreachable database): they are added to every
    route that can raise them.
    """
    by_status: defaultdict[int, list[type[KernaPayError]]] = defaultdict(list)
    for error in errors:
        by_status[status_of(error)].append(error)
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description="\n".join(f"- `{error.code}`: {_meaning(error)}" for error in group),
            media_type=MEDIA_TYPE,
            examples=[
                Example(id=error.code, summary=error.title, value=_example(error))
                for error in group
            ],
        )
        for status, group in sorted(by_status.items())
    }


def _meaning(error: type[KernaPayError]) -> str:
    return cleandoc(error.__doc__).partition("\n")[0] if error.__doc__ else f"{error.title}."


def _example(error: type[KernaPayError]) -> dict[str, Any]:
    return {
        "type": type_of(error.code),
        "title": error.title,
        "status": status_of(error),
        "detail": _meaning(error),
        "code": error.code,
        "errors": [{"field": "amount", "message": "Must be at least 1."}]
        if error.code == "invalid_input"
        else [],
        "requestId": "9f86d081884c7d65",
        "help": help_of(error.code),
    }
