"""HTTP without TLS, as the tests speak it."""

import ssl
from typing import Final

NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For `verify` of httpx: it would read all certificates of the machine for each client, which takes 60 ms."""
