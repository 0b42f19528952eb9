"""Files in an S3-compatible store, spoken to over HTTP."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.errors import NotFound, Unavailable
from kernapay.devstack.ports import HOST, free_port
from kernapay.files.s3 import S3Files
from tests.actors import PAYMENTS, Actor, assert_problem
from tests.stack import Api, Sandbox, StartApi

BUCKET = "kernapay-files"
KEY = "AKIATESTS"
SECRET = "s3-tests-5ab0c91d7e"
NAME = "export-" + "0" * 32 + ".csv"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    # Imported here: it takes half a second of each test worker, and one of them needs it.
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer(ip_address=HOST, port=port, verbose=False)
    server.start()
    yield f"http://{HOST}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> Iterator[Any]:
    """The store's own view of the bucket."""
    client = boto3.client(
        "s3",
        region_name="ap-south-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        endpoint_url=endpoint,
        config=Config(s3={"addressing_style": "path"}),
    )
    where = {"LocationConstraint": "ap-south-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    yield client
    client.close()


@pytest.fixture
def s3_api(start_api: StartApi, endpoint: str, bucket: Any) -> Api:
    return start_api(
        AWS_BUCKET_NAME=BUCKET,
        AWS_REGION="ap-south-1",
        AWS_ACCESS_KEY_ID=KEY,
        AWS_SECRET_ACCESS_KEY=SECRET,
        AWS_ENDPOINT_URL=endpoint,
    )


@pytest.fixture
def make_files(endpoint: str) -> Iterator[Callable[..., S3Files]]:
    pool = Bulkhead("files", 2)

    def make(**changes: Any) -> S3Files:
        given = {"region": "ap-south-1", "key_id": KEY, "secret": SECRET, "endpoint": endpoint}
        return S3Files(changes.pop("bucket", BUCKET), pool=pool, **{**given, **changes})

    yield make
    pool.close()


def test_receipts_and_exports_go_to_the_bucket_and_are_lent_by_its_links(
    s3_api: Api, admin: Actor, user: Actor, sandbox: Sandbox, bucket: Any
) -> None:
    payment, _ = user.buy(sandbox)
    path = f"{PAYMENTS}/{payment['referenceId']}/receipt"
    receipt = user.at(s3_api.client).call("POST", path).json()
    body = {"from": "2020-01-01", "to": "2099-01-01"}
    export = admin.at(s3_api.client).call("POST", f"{PAYMENTS}/exports", json=body).json()
    for link, media_type in ((receipt, "application/pdf"), (export, "text/csv")):
        assert "X-Amz-Expires=300" in link["url"]
        assert "AWS4-HMAC-SHA256" in link["url"]
        assert SECRET not in link["url"]
        found = httpx.get(link["url"], trust_env=False)
        assert found.status_code == 200
        assert found.headers["content-type"] == media_type
        assert "attachment" in found.headers["content-disposition"]
    assert httpx.get(receipt["url"], trust_env=False).content == user.call("GET", path).content
    assert payment["referenceId"] in httpx.get(export["url"], trust_env=False).text
    stored = {item["Key"] for item in bucket.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert {receipt["name"], export["name"]} <= stored
    for name in (receipt["name"], export["name"]):
        grants = bucket.get_object_acl(Bucket=BUCKET, Key=name)["Grants"]
        assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]
    ours = f"/v1/api/files/{NAME}?expires=9999999999&signature={'0' * 64}"
    assert_problem(s3_api.client.get(ours), 404)


@pytest.mark.anyio
async def test_a_store_that_is_away_is_unavailable(make_files: Callable[..., S3Files]) -> None:
    away = make_files(endpoint=f"http://{HOST}:{free_port()}")
    with pytest.raises(Unavailable):
        await away.put(NAME, io.BytesIO(b"a,b"))
    # A link is signed here: nobody is asked.
    assert NAME in (await away.link(NAME)).url


@pytest.mark.anyio
async def test_a_bucket_that_is_not_there_is_unavailable(
    make_files: Callable[..., S3Files], bucket: Any
) -> None:
    absent = make_files(bucket="not-there")
    with pytest.raises(Unavailable):
        await absent.check()
    with pytest.raises(Unavailable):
        await absent.put(NAME, io.BytesIO(b""))
    assert BUCKET in await make_files().check()
    with pytest.raises(NotFound):
        make_files().path_of(NAME, 1, "")
