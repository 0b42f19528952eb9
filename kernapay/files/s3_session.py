"""Make the connections of botocore obey their thread's deadline. Import this late: botocore is slow to load."""

from typing import Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from kernapay.core.bound_http import BoundConnection


class _Connection(BoundConnection, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TLSConnection(BoundConnection, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Pool(AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TLSPool(AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


def bind(client: Any) -> None:
    """Make every connection of a boto3 client obey the deadline of the thread that uses it."""
    # botocore has no public place for this. Its session makes every pool from this one table.
    client._endpoint.http_session._pool_classes_by_scheme.update(_POOLS)
