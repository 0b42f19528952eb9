"""Errors in Razorpay's envelope, and those of the sandbox's own calls."""

from collections.abc import Collection
from typing import Any


class RazorpayError(Exception):
    """An error response in Razorpay's own form."""

    def __init__(
        self,
        description: str,
        *,
        status: int = 400,
        code: str = "BAD_REQUEST_ERROR",
        source: str = "business",
        step: str = "payment_initiation",
        reason: str = "input_validation_failed",
        field: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.status = status
        self.error: dict[str, Any] = {
            "code": code,
            "description": description,
            "source": source,
            "step": step,
            "reason": reason,
            "metadata": metadata or {},
        }
        if field is not None:
            self.error["field"] = field

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def bad_request(description: str, field: str | None = None) -> RazorpayError:
    return RazorpayError(description, field=field)


def not_applicable(
    description: str, status: int = 400, code: str = "BAD_REQUEST_ERROR"
) -> RazorpayError:
    """Return an error with NA for source, step and reason.

    Razorpay: so do errors about refunds, routes and keys.
    """
    return RazorpayError(description, status=status, code=code, source="NA", step="NA", reason="NA")


def unknown_id() -> RazorpayError:
    return bad_request("The id provided does not exist")


def unknown_route() -> RazorpayError:
    """Return what Razorpay says of an unknown route or method: 400, not 404."""
    return not_applicable("The requested URL was not found on the server.")


def not_played(what: str, field: str | None = None) -> RazorpayError:
    """Return the sandbox's own refusal of what Razorpay has and the sandbox has not."""
    return RazorpayError(
        f"The sandbox does not play {what}.",
        code="SANDBOX_ERROR",
        source="NA",
        step="NA",
        reason="NA",
        field=field,
    )


def server_error() -> RazorpayError:
    return not_applicable(
        "The server encountered an error. The incident has been reported to admins.",
        500,
        "SERVER_ERROR",
    )


class ControlError(Exception):
    """An error response to one of the sandbox's own calls."""

    def __init__(self, message: str, status: int = 400, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field

    @property
    def body(self) -> dict[str, Any]:
        field = {} if self.field is None else {"field": self.field}
        return {"error": {"code": "SANDBOX_ERROR", "description": str(self), **field}}


def check_choice(field: str, value: str, choices: Collection[str]) -> None:
    """Raise ControlError unless the field's value is one of the choices."""
    if value not in choices:
        raise ControlError(
            f"{field} {value[:100]!r} is unknown. It must be one of: {', '.join(choices)}.",
            field=field,
        )
