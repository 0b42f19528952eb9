from pathlib import Path

import pytest
from litestar import Litestar

from kernapay.app import create_app
from kernapay.config.settings import load_settings
from tests.stack import JWT_SECRET, KEY_ID, KEY_SECRET, WEBHOOK_SECRET


@pytest.fixture(scope="package")
def application() -> Litestar:
    """The application as it would be served; nothing is connected."""
    return create_app(
        load_settings(
            None,
            mongodb_url="mongodb://127.0.0.1:1/kernapay",
            jwt_secret=JWT_SECRET,
            razorpay_key_id=KEY_ID,
            razorpay_key_secret=KEY_SECRET,
            razorpay_webhook_secret=WEBHOOK_SECRET,
        )
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).parents[2]
