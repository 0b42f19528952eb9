"""Files in a bucket of an S3-compatible store, through boto3 in a thread pool."""

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

from kernapay.core.bulkhead import Bulkhead
from kernapay.core.clock import Clock, now
from kernapay.core.deadlines import Deadline
from kernapay.core.errors import NotFound, Unavailable
from kernapay.files.base import LINK_LIFETIME, FileLink, media_type

_CONNECT_SECONDS: Final = 3
_READ_SECONDS: Final = 15
# For a whole call, an upload of a large export included.
_DEADLINE_SECONDS: Final = 60.0


class S3Files:
    """Store files as private objects; links are presigned (s3v4).

    Only the receipts of people who are erased are deleted here: give the bucket a lifecycle rule.
    """

    def __init__(
        self,
        bucket: str,
        *,
        region: str | None,
        key_id: str | None,
        secret: str | None,
        endpoint: str | None,
        pool: Bulkhead,
        clock: Clock = now,
        deadline: float = _DEADLINE_SECONDS,
    ) -> None:
        """Without a key, boto3 uses the credentials of the environment, such as a profile or the machine's role.

        A call ends within `deadline` seconds.
        """
        self._bucket = bucket
        self._region = region
        self._key_id = key_id
        self._secret = secret
        self._endpoint = endpoint
        self._pool = pool
        self._clock = clock
        self._deadline = deadline

    async def put(self, name: str, content: IO[bytes]) -> None:
        await self._call(self._put, name, content)

    async def delete(self, name: str) -> None:
        # S3: to delete what is not there succeeds.
        await self._call(lambda: self._client.delete_object(Bucket=self._bucket, Key=name))

    async def link(self, name: str) -> FileLink:
        expires_at = (self._clock() + LINK_LIFETIME).replace(microsecond=0)
        return FileLink(name, await self._call(self._presign, name, LINK_LIFETIME), expires_at)

    def path_of(self, name: str, expires: int, signature: str) -> Path:
        raise NotFound("Files are stored in a bucket. Request a new link.")

    async def check(self) -> str:
        await self._call(lambda: self._client.head_bucket(Bucket=self._bucket))
        return f"the bucket {self._bucket}"

    async def _call(self, work: Any, *args: Any) -> Any:
        def run() -> Any:
            from boto3.exceptions import Boto3Error
            from botocore.exceptions import BotoCoreError, ClientError

            try:
                return work(*args)
            except (Boto3Error, BotoCoreError, ClientError) as error:
                raise Unavailable(
                    "The file store cannot be reached, or refuses the request."
                ) from error

        try:
            return await self._pool.run_within(Deadline(self._deadline), run)
        except TimeoutError as error:
            raise Unavailable("The file store did not answer in time.") from error

    def _put(self, name: str, content: IO[bytes]) -> None:
        # Not `upload_fileobj`: its own threads would not hold the deadline.
        self._client.put_object(
            Bucket=self._bucket,
            Key=name,
            Body=content,
            ContentType=media_type(name),
            ContentDisposition=f'attachment; filename="{name}"',
            CacheControl="no-store",
        )

    def _presign(self, name: str, lifetime: timedelta) -> str:
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": name},
            ExpiresIn=int(lifetime.total_seconds()),
        )
        return url

    @cached_property
    def _client(self) -> Any:
        # Imported on first use: it costs half a second and 30 MB.
        import boto3
        from botocore.config import Config

        from kernapay.files.s3_session import bind

        client = boto3.session.Session().client(
            "s3",
            region_name=self._region,
            aws_access_key_id=self._key_id,
            aws_secret_access_key=self._secret,
            endpoint_url=self._endpoint,
            config=Config(
                signature_version="s3v4",
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path" if self._endpoint else "auto"},
                # Some S3-compatible stores do not support AWS's newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        bind(client)
        return client
