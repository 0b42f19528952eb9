"""HTTP for the checkout page, on which a payer without an account pays by a link from the shop."""

from pathlib import Path
from typing import Annotated, Final

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import PathParameter

from kernapay.core.errors import NotFound
from kernapay.core.patterns import explain
from kernapay.payments.checkout.dtos import CheckoutPage
from kernapay.payments.checkout.links import TOKEN_LENGTH
from kernapay.payments.checkout.service import CheckoutService
from kernapay.security.authentication import PUBLIC
from kernapay.security.rate_limits import RateLimited
from kernapay.web.handlers import get
from kernapay.web.headers import CHECKOUT_PATH
from kernapay.web.openapi.responses import problems
from kernapay.web.static_files import static_files

_FILES: Final = Path(__file__).parent / "static"
_PAGE: Final = (_FILES / "page.html").read_bytes()

Token = Annotated[
    str,
    PathParameter(
        pattern=explain(rf"^[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}$", "the end of a checkoutUrl"),
        description="The end of a `checkoutUrl`. Whoever has it sees the payment and may pay it.",
    ),
]


class CheckoutPageController(Controller):
    opt = {PUBLIC: True}
    security = [{}]
    tags = ["Payments"]

    @get(
        "/v1/api/checkout/{token:str}", guards=[RateLimited("status")], responses=problems(NotFound)
    )
    async def show_checkout(
        self, token: Token, checkout_service: NamedDependency[CheckoutService]
    ) -> CheckoutPage:
        """Return the payment for its checkout page: its state, and how to pay it.

        The token in the payment's `checkoutUrl` is the only proof that is needed.
        """
        return await checkout_service.show(token)

    # The same bytes for every link: the page reads the payment itself, and says what is wrong with a link.
    @get(f"{CHECKOUT_PATH}/{{token:str}}", include_in_schema=False)
    async def show_page(self, token: Token) -> Response[bytes]:
        return Response(
            _PAGE,
            media_type=MediaType.HTML,
            headers={"Cache-Control": "no-store"},
        )


def page_files() -> Router:
    return static_files(f"{CHECKOUT_PATH}/assets", _FILES)
