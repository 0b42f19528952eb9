"""What Granian's workers call: the application, tied to the process that started them."""

import gc

from litestar import Litestar

from kernapay.app import create_app
from kernapay.devstack.orphans import watch_parent


def app() -> Litestar:
    # A killed `kernapay serve` would leave its workers behind, serving on its port.
    watch_parent()
    application = create_app()
    # What is there now stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    return application
