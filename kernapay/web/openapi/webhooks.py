"""The messages that the service sends, for the `webhooks` of the OpenAPI document."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)

WEBHOOKS: Final = "webhooks"
"""The key of the application's state that has the messages."""
# Standard Webhooks 1.0.0.
_HEADERS: Final = {
    "webhook-id": "The id of the event. It is the same at each attempt: ignore what you have handled already.",
    "webhook-timestamp": "When this attempt was made, in Unix seconds. Refuse one that is older than five minutes.",
    "webhook-signature": "`v1,` and the signature, in Base64: HMAC-SHA256 of id, timestamp and the raw body, joined by "
    "dots, with the secret. While secrets are rotated there are two, with a space between them.",
}
_DESCRIPTION: Final = (
    "Sent to every endpoint that asked for this type. Check the signature over the raw body first, then drop a "
    "`webhook-id` that you know, and answer with 2xx within seconds: do what takes longer afterwards."
)


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of messages: the type of its body, and an example as JSON has it."""

    name: str
    summary: str
    body: Any
    example: Any


def describe_message(message: Message, schema: Any) -> PathItem:
    """Return the description of a message whose body has this schema."""
    content = {"application/json": OpenAPIMediaType(schema=schema, example=message.example)}
    parameters: list[Parameter | Reference] = [
        Parameter(
            name=name,
            param_in="header",
            required=True,
            description=description,
            schema=Schema(type="string"),  # type: ignore[arg-type]
        )
        for name, description in _HEADERS.items()
    ]
    return PathItem(
        post=Operation(
            tags=["Deliveries"],
            operation_id=f"event_{message.name.replace('.', '_')}",
            summary=message.summary,
            description=_DESCRIPTION,
            parameters=parameters,
            request_body=RequestBody(required=True, content=content),
            responses={
                "2XX": OpenAPIResponse(
                    description="Received. Any other answer, and none within the deadline, is tried again for three "
                    "days; 410 switches the endpoint off."
                )
            },
            security=[{}],
        )
    )


def restore_examples(document: dict[str, Any], messages: Iterable[Message]) -> None:
    """Put the examples into the document once more: Litestar takes every null out of what it writes."""
    for message in messages:
        operation = document["webhooks"][message.name]["post"]
        operation["requestBody"]["content"]["application/json"]["example"] = message.example
