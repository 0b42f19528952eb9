"""What Granian's workers call: the application, tied to the process that started them."""

from litestar import Litestar

from kernapay.app import create_app
from kernapay.core.garbage import kept
from kernapay.devstack.orphans import watch_parent


def app() -> Litestar:
    # A killed `kernapay serve` would leave its workers behind, serving on its port.
    watch_parent()
    with kept():
        return create_app()
