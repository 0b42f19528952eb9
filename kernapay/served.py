"""What Granian's workers call: the application, tied to the process that started them when asked to."""

import os

from litestar import Litestar

from kernapay.app import create_app
from kernapay.devstack.orphans import watch_parent


def app() -> Litestar:
    if os.environ.get("KERNAPAY_WATCH_PARENT") == "1":
        watch_parent()
    return create_app()
