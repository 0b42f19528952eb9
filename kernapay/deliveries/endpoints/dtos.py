"""Request and response structs of endpoints."""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from kernapay.core.clock import INSTANT_EXAMPLE, Instant
from kernapay.core.ids import OBJECT_ID_EXAMPLE
from kernapay.core.patterns import Identifier, Label
from kernapay.deliveries.addresses import MAX_LENGTH
from kernapay.deliveries.drafts import VERSIONS
from kernapay.deliveries.endpoints.headers import MAX_HEADERS, HeaderName, HeaderValue
from kernapay.deliveries.models import EndpointState, EventType

_LONGEST_OVERLAP: Final = 30 * 24 * 3600

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_LENGTH,
        description="Begins with https://, and leads to a host on the Internet.",
        examples=["https://shop.example/kernapay"],
    ),
]
Types = Annotated[
    list[EventType],
    Meta(
        max_length=100,
        description="The types to get; empty for all.",
        examples=[["payment.succeeded", "refund.processed"]],
    ),
]
Names = Annotated[
    list[Identifier], Meta(max_length=100, description="Empty for all.", examples=[[]])
]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Meta(
        max_length=MAX_HEADERS,
        description="Sent with every event. Not for HTTP's own headers, nor for `Authorization`.",
        examples=[{"X-Shop-Key": "counter 7"}],
    ),
]


class EndpointCreate(Struct, rename="camel", forbid_unknown_fields=True):
    """An endpoint gets the events that pass all its filters.

    Those of a shop are about its own payments. Settlements and findings are for endpoints of administrators only.
    """

    url: Url
    description: Annotated[Label, Meta(examples=["Stock and shipping"])] = ""
    types: Types = []
    service_types: Names = []
    providers: Names = []
    headers: Headers = {}


class EndpointChange(Struct, rename="camel", forbid_unknown_fields=True):
    """What is left out, or null, stays as it is.

    `version` is the version of the payload. With `endPreviousSecret`, the secret that a rotation has replaced stops
    signing at once.
    """

    url: Url | None = None
    description: Label | None = None
    types: Types | None = None
    service_types: Names | None = None
    providers: Names | None = None
    headers: Headers | None = None
    version: Annotated[int, Meta(ge=1, le=max(VERSIONS), examples=[max(VERSIONS)])] | None = None
    end_previous_secret: bool = False


class RotateRequest(Struct, rename="camel", forbid_unknown_fields=True):
    """How long the present secret signs beside the new one; by default for `ENDPOINT_ROTATION`."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_LONGEST_OVERLAP, examples=[86400])] | None = None


class SigningKey(Struct, rename="camel"):
    """When a secret was made, and until when it signs; without an end if no other one has replaced it."""

    at: Instant
    until: Instant | None = None


class EndpointFacts(Struct, rename="camel", kw_only=True):
    """What is known of an endpoint."""

    id: Annotated[str, Meta(examples=[OBJECT_ID_EXAMPLE])] = field(name="_id")
    owner: Annotated[str | None, Meta(examples=[OBJECT_ID_EXAMPLE])] = None
    url: Url
    description: str | None = None
    types: Types = []
    service_types: Names = []
    providers: Names = []
    headers: Annotated[dict[str, str], Meta(examples=[{"X-Shop-Key": "counter 7"}])] = {}
    version: Annotated[int, Meta(examples=[max(VERSIONS)])]
    state: Annotated[EndpointState, Meta(examples=["on"])]
    reason: Annotated[str | None, Meta(examples=["gone"])] = None
    since: Instant
    failing_since: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
    last_success_at: Annotated[Instant | None, Meta(examples=[INSTANT_EXAMPLE])] = None
    created_at: Instant
    updated_at: Instant


class EndpointRow(EndpointFacts, rename="camel", kw_only=True):
    """An endpoint as it is stored, without what its secrets are."""

    secrets: list[SigningKey] = []


class EndpointView(EndpointFacts, rename="camel", kw_only=True):
    """An endpoint without its secret.

    `owner` is the account of the shop; endpoints of administrators have none. `state` is `on`, `off`, or `disabled` by
    KernaPay. Then `reason` is `gone` (it answered 410), `failing` (five days without a success), `account_changed` (the
    account was locked out, or got a role that has no endpoints) or `keeper_not_admin` (who created it, or switched it
    on last, is no administrator any more). It gets events of what happened after `since`. `signingKeys` are the secrets
    that sign, the newest first.
    """

    signing_keys: list[SigningKey] = []


def view_of(row: EndpointRow) -> EndpointView:
    facts = {name: getattr(row, name) for name in EndpointFacts.__struct_fields__}
    return EndpointView(**facts, signing_keys=row.secrets)


class EndpointDetail(Struct, rename="camel", kw_only=True):
    """An endpoint, and how many deliveries to it are pending, counted up to 10,000."""

    endpoint: EndpointView
    pending: Annotated[int, Meta(examples=[0])]


class EndpointSecretShown(Struct, rename="camel"):
    """A new secret, and its endpoint. The secret is not shown again.

    The libraries of Standard Webhooks take it as it is, to verify what was sent.
    """

    secret: Annotated[str, Meta(examples=["whsec_…"])]
    endpoint: EndpointView


class TestSent(Struct, rename="camel"):
    """A test event is on its way. `GET /v1/api/deliveries/{deliveryId}` says what became of it."""

    delivery_id: str
