"""The storage as this connector sees it: a listing, objects' bytes, and S3's error codes in words.

Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connectors.contract import SourceFault
from connectors.s3.settings import S3Secrets, S3Settings

if TYPE_CHECKING:
    from minio import Minio
    from minio.error import S3Error

BAD_KEY = {"InvalidAccessKeyId", "InvalidClientTokenId", "AuthFailure", "InvalidToken"}
BAD_SECRET = {"SignatureDoesNotMatch"}
BAD_REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
    "IllegalLocationConstraintException",
}
PASSING = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"}
ARCHIVED = "InvalidObjectState"
MISSING = {"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}  # 405: the latest is a delete marker


class NotFound(Exception):
    """No such object (any more)."""


class Unreadable(Exception):
    """One object that the storage does not hand out: `cause` and `fix` in words."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the listing. `version` is the ETag, or date and size where the storage has none."""

    key: str
    version: str
    size: int
    modified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Body:
    """`content` is None where it is over the limit; `mime` is what the object's metadata says."""

    content: bytes | None
    size: int
    mime: str
    version: str
    modified_at: datetime | None


class Storage:
    """One bucket. Every method raises SourceFault for what concerns the whole of it."""

    def __init__(
        self, settings: S3Settings, secrets: S3Secrets, *, timeout_s: float = 30.0
    ) -> None:
        self._settings = settings
        self._bucket = settings.bucket
        self._client = _client(settings, secrets, timeout_s)

    def entries(self) -> Iterator[Entry]:
        """Every object below the folder, in pages of 1000; deleted ones of a versioned bucket are not among them."""
        with self._faults():
            for item in self._client.list_objects(
                self._bucket, prefix=self._settings.prefix, recursive=True
            ):
                key = item.object_name or ""
                if key and not key.endswith("/"):  # markers that consoles make for folders
                    size = item.size or 0
                    version = _version(item.etag, item.last_modified, size)
                    yield Entry(key, version, size, item.last_modified)

    def read(self, key: str, limit: int) -> Body:
        """Raises NotFound, Unreadable."""
        with self._faults(key):
            response = self._client.get_object(self._bucket, key)
            try:
                headers = response.headers
                size = int(headers.get("Content-Length") or 0)
                content = b"" if size > limit else response.read(limit + 1)
            finally:
                response.close()
                response.release_conn()
        modified = _http_date(headers.get("Last-Modified", ""))
        over = size > limit or len(content) > limit
        mime = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        version = _version(headers.get("ETag", ""), modified, size)
        return Body(None if over else content, max(size, len(content)), mime, version, modified)

    @contextmanager
    def _faults(self, key: str = "") -> Iterator[None]:
        import urllib3
        from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

        host = urlsplit(self._settings.endpoint).netloc
        try:
            yield
        except S3Error as error:
            raise self._in_words(error, key) from error
        except urllib3.exceptions.HTTPError as error:
            raise _network(host, error) from error
        except (InvalidResponseError, ServerError) as error:
            raise SourceFault(
                f"{host} did not answer as S3 storage does.",
                "Check the endpoint: it may be the web console's address, or a proxy's.",
            ) from error
        except (MinioException, ValueError) as error:
            raise SourceFault(
                f"The bucket's name '{self._bucket}' or the endpoint is not valid.", "Correct them."
            ) from error

    def _in_words(self, error: S3Error, key: str) -> Exception:
        code = error.code or ""
        if key and code in MISSING:
            return NotFound(key)
        if key and code == ARCHIVED:
            return Unreadable(
                "It is archived (GLACIER) and cannot be read at once.",
                "Restore it in the storage, or exclude it.",
            )
        if key and code == "AccessDenied":
            return Unreadable(
                "The access key may list it but not read it.",
                "Grant s3:GetObject for it (and kms:Decrypt where it is encrypted), or exclude it.",
            )
        if key and code in {"InvalidRequest", "InvalidArgument", "InvalidObjectName"}:
            return Unreadable(
                f"The storage does not hand it out ({code}).",
                "It may be encrypted with a customer's key: store it without, or exclude it.",
            )
        return self._fault(code)

    def _fault(self, code: str) -> SourceFault:
        bucket = self._bucket
        if code == "NoSuchBucket":
            return SourceFault(
                f"There is no bucket '{bucket}'.", "Correct its name or the endpoint."
            )
        if code in BAD_KEY:
            return SourceFault(
                "The storage does not know the access key.",
                "It may have been deleted: create a new one and swap it here.",
            )
        if code in BAD_SECRET:
            return SourceFault(
                "The secret key does not belong to the access key.", "Enter both again."
            )
        if code == "ExpiredToken":
            return SourceFault("The access key has expired.", "Create a new one and swap it here.")
        if code == "AccessDenied":
            return SourceFault(
                f"The access key may not list the bucket '{bucket}'.",
                "Grant s3:ListBucket on the bucket and s3:GetObject on its objects.",
            )
        if code in BAD_REGION:
            return SourceFault(
                f"The bucket '{bucket}' is in another region.",
                "Correct the region or the endpoint.",
            )
        if code == "RequestTimeTooSkewed":
            return SourceFault(
                "The clocks of this server and the storage differ too much.", "Set them right."
            )
        passing = code in PASSING
        fix = "The next sync tries again." if passing else "Check the settings."
        return SourceFault(f"The storage refused the request ({code}).", fix, passing=passing)


def _client(settings: S3Settings, secrets: S3Secrets, timeout_s: float) -> Minio:
    import certifi
    import urllib3
    from minio import Minio

    parts = urlsplit(settings.endpoint)
    again = urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=[429, 500, 502, 503, 504])
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=min(10.0, timeout_s), read=timeout_s),
        retries=again,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
        maxsize=4,
    )
    client = Minio(
        parts.netloc,
        access_key=secrets.access_key.get_secret_value() or None,
        secret_key=secrets.secret_key.get_secret_value() or None,
        secure=parts.scheme == "https",
        region=settings.region.strip() or None,
        http_client=pool,
    )
    if settings.addressing == "path":
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif settings.addressing == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _network(host: str, error: Exception) -> SourceFault:
    import urllib3

    reason = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.SSLError):
        return SourceFault(
            f"{host} has no certificate that is trusted here.", "Correct its certificate."
        )
    if isinstance(reason, urllib3.exceptions.ResponseError):
        return SourceFault(f"{host} is busy.", "The next sync tries again.", passing=True)
    return SourceFault(
        f"{host} cannot be reached.",
        "Check the endpoint, the network and that it is running.",
        passing=True,
    )


def _version(etag: str | None, modified: datetime | None, size: int) -> str:
    plain = (etag or "").strip().removeprefix("W/").strip('"')
    return plain or f"{modified.isoformat() if modified else ''}-{size}"


def _http_date(value: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
