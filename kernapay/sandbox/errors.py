"""Failures in Razorpay's own envelope."""

from typing import Any


class RazorpayError(Exception):
    """An answer other than 200 that a Razorpay client knows how to read."""

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


def not_applicable(description: str, status: int = 400) -> RazorpayError:
    """Refuse in the form of refund and routing errors, which say NA for where and why."""
    return RazorpayError(description, status=status, source="NA", step="NA", reason="NA")


def unknown_id() -> RazorpayError:
    return bad_request("The id provided does not exist")


def unknown_route() -> RazorpayError:
    return not_applicable("The requested URL was not found on the server.")


def server_error() -> RazorpayError:
    return RazorpayError(
        "The server encountered an error. The incident has been reported to admins.",
        status=500,
        code="SERVER_ERROR",
        source="NA",
        step="NA",
        reason="NA",
    )


class ControlError(Exception):
    """A refusal of one of the sandbox's own calls, under /_sandbox."""

    def __init__(self, message: str, status: int = 400, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.field = field

    @property
    def body(self) -> dict[str, Any]:
        named = {} if self.field is None else {"field": self.field}
        return {"error": {"code": "SANDBOX_ERROR", "description": str(self), **named}}
